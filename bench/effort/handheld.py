from port import port

port(
    "handheld",
    widths=dict(stem=8, a=16, r=16, b=14, c=32, s=32, d=32),  # decision: stem, a, r, b, c, s, d
    epochs=2, lr=0.05,  # decision: epochs, learning rate
    limits=dict(macs=0.25 * 16.93e6, flash=96 << 10, ram=32 << 10, drop=0.04),
    prefix="arm-none-eabi-",
    compile="-mcpu=cortex-m4 -mthumb -O2 -nostartfiles -T mps2.ld bare.c",  # decision: optimization
    emulate="qemu-system-arm -M mps2-an386 -nographic -semihosting -kernel",
)
