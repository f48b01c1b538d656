from port import port

port(
    "sensor",
    widths=dict(stem=4, a=8, r=8, b=8, c=16, s=16, d=16),  # decision: stem, a, r, b, c, s, d
    epochs=4, lr=0.05,  # decision: epochs, learning rate
    limits=dict(macs=1.2e6, flash=40 << 10, ram=12 << 10, accuracy=0.75),
    prefix="arm-none-eabi-",
    compile="-mcpu=cortex-m0 -mthumb -Os -nostartfiles -T microbit.ld bare.c",  # decision: optimization
    emulate="qemu-system-arm -M microbit -nographic -semihosting -kernel",
)
