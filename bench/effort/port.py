"""The label reader by hand: what the ports share. A target's own file (gateway.py, handheld.py, sensor.py) calls port().

cloud.onnx -> channels cut by size of weights -> fine-tuning (PyTorch) -> int8 -> model.h + net.c -> compiler, size, QEMU.
"""
import json
import pathlib
import subprocess

import numpy as np
import onnx
import onnx.numpy_helper
import torch
import torch.nn.functional as F

HERE = pathlib.Path(__file__).parent
EXAMPLE = HERE / "../../examples/01-label-reader"
# In order of execution: layer of the file, source, skip, destination (buffers), width, stride. decision: order, buffers
NET = [
    (1, "x", None, "A", "stem", 1),
    (4, "A", None, "C", "r", 2),
    (2, "A", None, "B", "a", 2),
    (3, "B", "C", "C", "r", 1),
    (5, "C", None, "B", "b", 1),
    (6, "B", "C", "C", "r", 1),
    (9, "C", None, "A", "s", 2),
    (7, "C", None, "B", "c", 2),
    (8, "B", "A", "A", "s", 1),
    (10, "A", None, "B", "d", 1),
    (11, "B", "A", "A", "s", 1),
]
SHORTCUTS = 4, 9  # projections: no ReLU
BITS = 24  # decision: fraction bits of multipliers
TESTS = 20


def load(split):
    x, y = (torch.from_numpy(np.load(EXAMPLE / f"data/{split}_{k}.npy")) for k in "xy")
    return x.permute(0, 3, 1, 2), y


def normalize(x):
    return x.float() / 127.5 - 1


def run(net, conv, x):
    at = {"x": x}
    for i, src, skip, dst, _, stride in net:
        at[dst] = conv(i, at[src], at.get(skip), stride)
    return at["A"]


class Net(torch.nn.Module):
    def __init__(self, widths):
        super().__init__()
        init = onnx.load(str(EXAMPLE / "cloud.onnx")).graph.initializer
        p = {t.name.split(":")[0]: torch.from_numpy(onnx.numpy_helper.to_array(t).copy()) for t in init}
        total = {}
        for i, *_, width, _ in NET:
            w = p[f"layer{i}.weight"].square().sum((1, 2, 3)) * p[f"layer{i}.scale"].square() / p[f"layer{i}.variance"]
            total[width] = total.get(width, 0) + w  # decision: importance
        keep = {k: v.topk(widths[k]).indices.sort().values for k, v in total.items()}
        keep["x"], at = torch.arange(1), {"x": "x"}
        for i, src, _, dst, width, stride in NET:
            w = p[f"layer{i}.weight"][keep[width]][:, keep[at[src]]]
            conv = torch.nn.Conv2d(w.shape[1], w.shape[0], w.shape[2], stride, w.shape[2] // 2, bias=False)
            norm = torch.nn.BatchNorm2d(w.shape[0])
            conv.weight.data = w
            for mine, name in ("weight", "scale"), ("bias", "offset"), ("running_mean", "mean"), ("running_var", "variance"):
                getattr(norm, mine).data = p[f"layer{i}.{name}"][keep[width]]
            self.add_module(f"layer{i}", torch.nn.Sequential(conv, norm))
            at[dst] = width
        self.head = torch.nn.Linear(len(keep["s"]), 62)
        self.head.weight.data, self.head.bias.data = p["layer12.weight"][:, keep["s"]], p["layer12.bias"]

    def conv(self, i, x, skip, _):
        y = getattr(self, f"layer{i}")(x)
        if skip is not None:
            y = y + skip
        return y if i in SHORTCUTS else F.relu(y)

    def forward(self, x):
        return self.head(run(NET, self.conv, x).mean((2, 3)))


def tune(net, epochs, lr, batch, decay):
    x, y = load("train")
    sgd = torch.optim.SGD(net.parameters(), lr, 0.9, weight_decay=decay, nesterov=True)  # decision: momentum
    rate = torch.optim.lr_scheduler.OneCycleLR(sgd, lr, epochs * (len(x) // batch))  # decision: schedule
    for _ in range(epochs):
        for k in torch.randperm(len(x))[: len(x) // batch * batch].split(batch):
            dy, dx = torch.randint(3, (2,))
            image = normalize(F.pad(x[k], (1, 1, 1, 1))[:, :, dy : dy + 32, dx : dx + 32])  # decision: shift
            loss = F.cross_entropy(net(image), y[k])
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            rate.step()


class Int8:
    # uint8 activations from zero (projections: around 128), int8 weights by channel. decision: activations, weights

    def __init__(self, net, images):
        self.scale, self.zero, self.layers = {"x": 1 / 127.5}, {"x": 128}, {}

        def quantize(i, x, skip, stride):
            _, src, skip_from, dst, _, _ = next(n for n in NET if n[0] == i)
            conv, norm = getattr(net, f"layer{i}")
            gain = norm.weight / (norm.running_var + norm.eps).sqrt()
            w = conv.weight * gain[:, None, None, None]
            y = net.conv(i, x, skip, stride)
            zero = 128 * (i in SHORTCUTS)
            scale = y.abs().max().item() / (127 if zero else 255)  # decision: range of activations
            ws = w.abs().amax((1, 2, 3)) / 127
            s = ws * self.scale[src]
            self.layers[i] = dict(
                w=(w / ws[:, None, None, None]).round(), b=((norm.bias - norm.running_mean * gain) / s).round(),
                m=(s / scale * 2**BITS).round(), skip=round(self.scale.get(skip_from, 0) / scale * 2**BITS),
                zin=self.zero[src], zskip=self.zero.get(skip_from, 0), zout=zero)
            self.scale[dst], self.zero[dst] = scale, zero
            return y

        y = run(NET, quantize, normalize(images))
        ws = net.head.weight.abs().max() / 127
        s = ws * self.scale["A"] / y[0, 0].numel()
        self.head = dict(w=(net.head.weight / ws).round(), b=(net.head.bias / s).round())

    def conv(self, i, x, skip, stride):
        l = self.layers[i]
        y = F.conv2d(x - l["zin"], l["w"].double(), l["b"].double(), stride, l["w"].shape[2] // 2)
        y = y.long() * l["m"].long()[:, None, None]
        if skip is not None:
            y = y + (skip.long() - l["zskip"]) * l["skip"]
        return ((y + (1 << BITS - 1) >> BITS) + l["zout"]).clamp(0, 255).double()

    def __call__(self, x):
        return run(NET, self.conv, x.double()).sum((2, 3)) @ self.head["w"].double().T + self.head["b"]


def array(kind, name, values, more=""):
    return f"static const {kind} {name}[] {more}= {{{','.join(str(int(v)) for v in values.flatten())}}};\n"


def emit(q, images, folder):
    text, calls, macs, size, side = "", "", 0, {}, {"x": 32}
    for i, src, skip, dst, _, stride in NET:
        l = q.layers[i]
        (co, ci, k, _), h = l["w"].shape, side[src]
        side[dst] = h // stride
        size[dst] = max(size.get(dst, 0), co * side[dst] ** 2)
        macs += l["w"].numel() * side[dst] ** 2
        text += array("int8_t", f"w{i}", l["w"].permute(0, 2, 3, 1)) + array("int32_t", f"b{i}", l["b"]) + array("int32_t", f"m{i}", l["m"])
        text += f"static const Conv l{i} = {{{k},{stride},{h},{ci},{co},{l['zin']},{l['zskip']},{l['zout']},{l['skip']},w{i},b{i},m{i}}};\n"
        calls += f"  conv(&l{i}, {src}, {skip or 0}, {dst});\n"
    classes, c = q.head["w"].shape
    text += array("int8_t", "wh", q.head["w"]) + array("int32_t", "bh", q.head["b"])
    text += "".join(f"static uint8_t {b}[{n}];\n" for b, n in size.items())
    text += f"static void run(const uint8_t *x, int32_t *out) {{\n{calls}  head(wh, bh, {classes}, {c}, {side['A'] ** 2}, A, out);\n}}\n"
    test = '__attribute__((section(".test"))) '
    text += array("uint8_t", "images", images, test) + array("int32_t", "wanted", q(images), test)
    text += f"enum {{ TESTS = {len(images)}, CLASSES = {classes} }};\n"
    (folder / "model.h").write_text(text)
    return macs + q.head["w"].numel()


def sizes(prefix, binary):
    rows = [r.split() for r in subprocess.check_output([prefix + "size", "-A", binary], text=True).splitlines()]
    n = {r[0]: int(r[1]) for r in rows if len(r) == 3 and r[1].isdigit()}
    ram = n.get(".data", 0) + n[".bss"]
    return n[".text"] + n.get(".rodata", 0) + n.get(".data", 0), ram


@torch.no_grad()
def accuracy(model, x, y):
    return torch.cat([model(k).argmax(1) for k in x.split(200)]).eq(y).float().mean().item()


def port(name, widths, limits, prefix, compile, emulate, epochs, lr, batch=64, decay=1e-4, calibration=512):  # decision: batch, weight decay, calibration images
    torch.manual_seed(1)
    net = Net(widths)
    tune(net, epochs, lr, batch, decay)
    net.eval()
    with torch.no_grad():
        q = Int8(net, load("train")[0][:calibration])
    x, y = load("val")
    folder = HERE / "../../build/bench/effort" / name
    folder.mkdir(parents=True, exist_ok=True)
    got = dict(macs=emit(q, x[:TESTS], folder), accuracy=accuracy(q, x, y))
    binary = str(folder / "net")
    subprocess.check_call([prefix + "gcc", *compile.split(), "-I", folder, "-o", binary, HERE / "net.c"], cwd=HERE)
    got["flash"], got["ram"] = sizes(prefix, binary)
    equal = subprocess.call([*emulate.split(), binary]) == 0
    cloud = Net(dict(stem=16, a=32, r=32, b=32, c=64, s=64, d=64)).eval()
    original = accuracy(lambda k: cloud(normalize(k)), x, y)
    met = equal and got["accuracy"] >= limits.pop("accuracy", original - limits.pop("drop", 0)) and all(got[k] <= v for k, v in limits.items())
    print(json.dumps(dict(name=name, **got, original=original, equal=equal, met=met)))
