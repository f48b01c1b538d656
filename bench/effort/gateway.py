from port import port

port(
    "gateway",
    widths=dict(stem=12, a=24, r=24, b=24, c=50, s=50, d=50),  # decision: stem, a, r, b, c, s, d
    epochs=1, lr=0.02,  # decision: epochs, learning rate
    limits=dict(macs=0.6 * 16.93e6, drop=0.02),
    prefix="aarch64-linux-gnu-",
    compile="-O3 -static",  # decision: optimization
    emulate="qemu-aarch64",
)
