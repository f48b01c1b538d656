"""The peer of bench/train.c: PyTorch on the same nets and the same step, a line in and a line out.

  open CASE BATCH THREADS train|forward    one net for each layout; answers "ready"
  run contiguous|channels_last SECONDS [cpu]   whole steps for about that long; answers images per second (of
                                               processor time)
  memory                                   peak resident memory of the process in KiB
  quit

A step is forward, loss, backward and SGD with Nesterov momentum and weight decay; the batch lies in memory already, as
on the other side. Distillation runs the teacher, in inference mode, beside the student.
"""
import sys
import time
import warnings

warnings.filterwarnings("ignore")

import torch
import torch.nn as nn
import torch.nn.functional as F


def norm_conv(i, o, k, stride=1, pad=1, groups=1, relu=True):
    layers = [nn.Conv2d(i, o, k, stride, pad, groups=groups, bias=False), nn.BatchNorm2d(o)]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))


class Block(nn.Module):
    def __init__(self, i, o, stride, projected):
        super().__init__()
        self.a = norm_conv(i, o, 3, stride)
        self.b = norm_conv(o, o, 3, relu=False)
        self.short = nn.Conv2d(i, o, 1, stride, bias=False) if projected and stride == 2 else None
        self.around = (o - i) // 2

    def forward(self, x):
        y = self.b(self.a(x))
        if self.short is not None:
            x = self.short(x)
        elif self.around:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.around, self.around))
        return F.relu(y + x, inplace=True)


class Net(nn.Module):
    def __init__(self, layers, channels, classes):
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(channels, classes)

    def forward(self, x):
        return self.head(self.layers(x).mean((2, 3)))


def resnet(blocks, projected):
    layers, i = [norm_conv(3, 16, 3)], 16
    for stage in range(3):
        for b in range(blocks):
            o = 16 << stage
            layers.append(Block(i, o, 2 if stage and not b else 1, projected))
            i = o
    return Net(layers, 64, 10)


def separable(i, o, stride):
    return nn.Sequential(norm_conv(i, i, 3, stride, groups=i), norm_conv(i, o, 1, pad=0))


def ds_cnn():
    layers = [norm_conv(1, 64, (10, 4), 2, (5, 1))] + [separable(64, 64, 1) for _ in range(4)]
    return Net(layers, 64, 12)


def mobilenet():
    widths = [16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256]
    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]
    layers, i = [norm_conv(3, 8, 3, 2)], 8
    for o, s in zip(widths, strides):
        layers.append(separable(i, o, s))
        i = o
    return Net(layers, 256, 2)


# input, net, teacher
CASES = {
    "resnet8": ((3, 32, 32), lambda: resnet(1, True), None),
    "resnet20": ((3, 32, 32), lambda: resnet(3, False), None),
    "distill": ((3, 32, 32), lambda: resnet(1, True), lambda: resnet(3, False)),
    "ds_cnn": ((1, 49, 10), ds_cnn, None),
    "mobilenet": ((3, 96, 96), mobilenet, None),
}


class Side:
    """One case in one layout."""

    def __init__(self, case, batch, train, layout):
        shape, net, teacher = CASES[case]
        fmt = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        self.x = torch.randn(batch, *shape).to(memory_format=fmt)
        self.net = net().to(memory_format=fmt).train(train)
        self.teacher = teacher().to(memory_format=fmt).eval() if teacher else None
        self.y = torch.randint(0, self.net.head.out_features, (batch,))
        self.train, self.batch = train, batch
        self.sgd = torch.optim.SGD(self.net.parameters(), 1e-3, 0.9, weight_decay=1e-4, nesterov=True)

    def loss(self, z, soft):
        if soft is None:
            return F.cross_entropy(z, self.y)
        kl = F.kl_div(F.log_softmax(z / 4, 1), F.log_softmax(soft / 4, 1), reduction="batchmean", log_target=True)
        return 0.1 * F.cross_entropy(z, self.y) + 0.9 * 16 * kl

    def step(self):
        soft = None
        if self.teacher:
            with torch.no_grad():
                soft = self.teacher(self.x)
        if not self.train:
            with torch.inference_mode():
                return self.net(self.x)
        self.sgd.zero_grad(set_to_none=True)
        self.loss(self.net(self.x), soft).backward()
        self.sgd.step()

    def run(self, seconds, clock):
        steps, start = 0, clock()
        while True:
            self.step()
            steps += 1
            took = clock() - start
            if took >= seconds:
                return steps * self.batch / took


def peak_memory():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


def main():
    sides = {}
    print("torch", torch.__version__, flush=True)
    for line in sys.stdin:
        words = line.split()
        if words[0] == "open":
            torch.set_num_threads(int(words[3]))
            sides.clear()
            case, batch, train = words[1], int(words[2]), words[4] == "train"
            wanted = words[5:] or ["contiguous", "channels_last"]
            for layout in wanted:
                sides[layout] = Side(case, batch, train, layout)
                sides[layout].step()
            print("ready", flush=True)
        elif words[0] == "run":
            clock = time.process_time if words[3:] else time.perf_counter
            print(sides[words[1]].run(float(words[2]), clock), flush=True)
        elif words[0] == "memory":
            print(peak_memory(), flush=True)
        else:
            break


main()
