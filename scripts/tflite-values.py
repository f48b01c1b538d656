#!/usr/bin/env python3
"""Expected values of TFLite's int8 operators, by their reference kernels' definitions.

Writes tests/ir/eval_rows_int8.c: graphs, input codes and the codes that TensorFlow Lite's reference gives. The
arithmetic is written down once more here, from the definitions (rounding by division, integers of any size), so that
nothing is shared with the kernels that are tested. Sources: tensorflow/lite/kernels/internal/common.h and reference/*,
tensorflow/lite/micro/kernels/*, gemmlowp's fixedpoint.h.

    scripts/tflite-values.py > tests/ir/eval_rows_int8.c
"""
import math
import os
import random
import re
import struct

I32 = 1 << 31


def f32(x):
    return struct.unpack("f", struct.pack("f", x))[0]


def wrap(x):
    return (x + I32) % (2 * I32) - I32


def clamp(x, lo=-128, hi=127):
    return max(lo, min(hi, x))


def trunc_div(a, b):
    q = abs(a) // abs(b)
    return q if (a >= 0) == (b >= 0) else -q


def half_away(x):
    return math.floor(x + 0.5) if x >= 0 else -math.floor(-x + 0.5)


def rdpot(x, e):
    q, r = divmod(abs(x), 1 << e)
    q += 2 * r >= 1 << e and e > 0
    return q if x >= 0 else -q


def high(a, b):  # SaturatingRoundingDoublingHighMul
    if a == b == -I32:
        return I32 - 1
    ab = a * b
    return trunc_div(ab + ((1 << 30) if ab >= 0 else 1 - (1 << 30)), I32)


def multiplier(real):
    if real == 0:
        return 0, 0
    m, e = math.frexp(real)
    q = half_away(m * I32)
    if q == I32:
        q, e = q // 2, e + 1
    return (0, 0) if e < -31 else (q, e)


def mbqm(x, m, s):
    return rdpot(high(wrap(x << max(s, 0)), m), max(-s, 0))


# -- gemmlowp --


def sat_left(x, e):
    v = x << e
    return max(-I32, min(I32 - 1, v))


def exp_negative(a, bits):  # Q(bits), a <= 0 -> Q0
    if a == 0:
        return I32 - 1
    frac = 31 - bits
    quarter = 1 << (frac - 2)
    mod = (a & (quarter - 1)) - quarter
    x = sat_left(mod, bits) + (1 << 28)
    x2 = high(x, x)
    x3, x4 = high(x2, x), high(x2, x2)
    poly = rdpot(high(rdpot(x4, 2) + x3, 715827883) + x2, 1)
    y = 1895147668 + high(1895147668, x + poly)
    rest = mod - a
    for k, c in zip(range(-2, bits), (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)):
        if rest & 1 << (frac + k):
            y = high(y, c)
    return y


def half_sum(a, b):
    s = a + b
    return trunc_div(s + (1 if s >= 0 else -1), 2)


def reciprocal(a):  # 1 / (1 + a), Q0
    half = half_sum(a, I32 - 1)
    x = 1515870810 + high(half, -1010580540)
    for _ in range(3):
        x += sat_left(high(x, (1 << 29) - high(half, x)), 2)
    return sat_left(x, 1)


def clz(x):
    return 32 - x.bit_length()


def log_q5(x):  # Q12 -> Q5, log_x_for_x_greater_than_or_equal_to_1_impl
    ssh = 1805811301
    quarter = rdpot(536870912, 6)
    a1 = clz(x)
    r_a = sat_left(high(sat_left(x, a1 - 1), 1518500250), 1)
    z_a = sat_left(12 - a1, 25) + quarter
    b = clz(high(x, 1518500250)) - 1
    r_b = sat_left(x, b)
    z_b = sat_left(12 - b, 25) - quarter
    r, z = min(r_a, r_b), max(z_a, z_b)
    p = half_sum(r, ssh)
    q = (r - ssh) * 2
    sq = high(q, q)
    num = high(q, r) + high(high(q, sq), 117049297)
    den = high(p, 1057819769 + q + high(127690142, sq)) + high(638450708, q)
    return sat_left(high(z, 1488522236) + high(rdpot(num, 6), reciprocal(den)), 1)


def inv_sqrt(x):  # GetInvSqrtQuantizedMultiplierExp with kReverseShift
    if x <= 1:
        return I32 - 1, 0
    shift = 11
    while x >= 1 << 29:
        x //= 4
        shift += 1
    pairs = (clz(x) - 1) // 2 - 1
    shift -= pairs
    x <<= 2 * pairs
    x >>= 1
    half = rdpot(x, 1)
    y = 1 << 28
    for _ in range(5):
        cube = sat_left(high(high(y, y), y), 6)
        y = sat_left(high((1 << 28) + (1 << 27), y) - high(half, cube), 3)
    y = high(y, 1518500250)
    if shift < 0:
        y, shift = y << -shift, 0
    return y, -shift


# -- operators; a quantized tensor is (codes, scale, zero) --


def compare(name, a, b, qa, qb):
    va, vb = [[mbqm((c - q[1]) << 8, *multiplier(q[0])) for c in v] for v, q in ((a, qa), (b, qb))]
    f = {"Equal": lambda x, y: x == y, "Less": lambda x, y: x < y, "LessOrEqual": lambda x, y: x <= y}[name]
    return [int(f(x, y)) for x, y in zip(va, vb)]


def div(a, b, qa, qb, qy):
    m, s = multiplier(f32(qa[0] / f32(qb[0] * qy[0])))
    out = []
    for x, y in zip(a, b):
        x, y = x - qa[1], y - qb[1]
        if y < 0:
            x, y = -x, -y
        bits = clz(y)
        inv = reciprocal((y << bits) - I32)
        room = 31 if x == 0 else clz(x if x > 0 else -x - 1) - 1
        quotient = high(x << room, inv)
        total = s - (31 - bits) - room
        v = high(quotient, m)
        out.append(clamp(qy[1] + (rdpot(v, -total) if total <= 0 else v << total)))
    return out


def squared_difference(a, b, qa, qb, qy):
    twice = 2.0 * max(qa[0], qb[0])
    ma, mb = multiplier(qa[0] / twice), multiplier(qb[0] / twice)
    m = multiplier(twice * twice / ((1 << 14) * qy[0]))
    out = []
    for x, y in zip(a, b):
        d = mbqm((x - qa[1]) << 7, *ma) - mbqm((y - qb[1]) << 7, *mb)
        out.append(clamp(qy[1] + mbqm(d * d, *m)))
    return out


def total(x, qx, qy):
    return clamp(qy[1] + mbqm(sum(x) - len(x) * qx[1], *multiplier(qx[0] / qy[0])))


def matmul(a, b, rows, depth, cols, qa, qb, qy):
    m = multiplier(f32(qa[0] * qb[0]) / qy[0])
    return [
        clamp(qy[1] + mbqm(sum((a[r * depth + k] - qa[1]) * (b[k * cols + c] - qb[1]) for k in range(depth)), *m))
        for r in range(rows)
        for c in range(cols)
    ]


def l2(x, zero):
    m, s = inv_sqrt(sum((c - zero) ** 2 for c in x))
    return [clamp(mbqm(c - zero, m, s + 7)) for c in x]


def log_softmax(x, scale):
    m, s = multiplier(min(scale * (1 << 26), I32 - 1.0))
    back = multiplier((1 << (31 - s)) / m)
    least = -math.floor(31.0 * (1 << 26) / (1 << s))
    top = max(x)
    acc = sum(rdpot(exp_negative(mbqm(c - top, m, s), 5), 12) for c in x if c - top >= least)
    log = log_q5(acc)
    adjusted = max(least - 1, mbqm(log - I32, *back))
    return [clamp(rdpot(mbqm(c - top, m, s) - log, 22) + 127) if c - top > adjusted else -128 for c in x]


def resize(x, h, w, c, out_h, out_w, corners, half):
    def scale(n, out):
        if corners and out > 1:
            return ((n - 1) * 1024 + (out - 1) // 2) // (out - 1)
        return (n * 1024 + out // 2) // out

    def between(i, s, n):
        at = i * s + (s // 2 - 512 if half else 0)
        return at, max(trunc_div(at, 1024), 0), min(trunc_div(at + 1023, 1024), n - 1)

    y = []
    for i in range(out_h):
        at_y, y0, y1 = between(i, scale(h, out_h), h)
        for j in range(out_w):
            at_x, x0, x1 = between(j, scale(w, out_w), w)
            for k in range(c):
                get = lambda r, q: x[(r * w + q) * c + k]
                v = (
                    get(y0, x0) * (1024 - (at_y - 1024 * y0)) * (1024 - (at_x - 1024 * x0))
                    + get(y1, x0) * (at_y - 1024 * y0) * (1024 - (at_x - 1024 * x0))
                    + get(y0, x1) * (1024 - (at_y - 1024 * y0)) * (at_x - 1024 * x0)
                    + get(y1, x1) * (at_y - 1024 * y0) * (at_x - 1024 * x0)
                )
                y.append(trunc_div(v + ((1 << 19) if v > 0 else -(1 << 19)), 1 << 20))
    return y


def conv_transpose(x, w, bias, h, wd, ins, outs, kh, kw, sh, sw, top, left, out_h, out_w, qx, sw_list, qy):
    acc = [0] * (out_h * out_w * outs)
    for iy in range(h):
        for ix in range(wd):
            for i in range(ins):
                for ky in range(kh):
                    for kx in range(kw):
                        oy, ox = iy * sh - top + ky, ix * sw - left + kx
                        if 0 <= oy < out_h and 0 <= ox < out_w:
                            for o in range(outs):
                                acc[(oy * out_w + ox) * outs + o] += (x[(iy * wd + ix) * ins + i] - qx[1]) * w[
                                    ((o * kh + ky) * kw + kx) * ins + i
                                ]
    out = []
    for n, a in enumerate(acc):
        m = multiplier(qx[0] * sw_list[n % outs] / qy[0])
        out.append(clamp(qy[1] + mbqm(a + bias[n % outs], *m)))
    return out


# -- cells: lstm_eval.h and lstm_eval_common.cc, svdf_common.cc --


def sigmoid_table():  # sigmoid_table_uint16 of internal/common.h, which no formula gives: read where it is kept
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "runtime", "kernels", "sigmoid16.h")
    return [int(v) for v in re.search(r"\[256\] = \{(.*?)\}", open(path).read(), re.S).group(1).split(",")]


TABLE = sigmoid_table()


def scaled16(x, power):  # power of two: its distance from Q3.12
    return (x * 3 << power) if power >= 0 else (x * 3 + (1 << (-power - 1))) >> -power


def logistic16(x):
    v = scaled16(x, 0)
    i, t = abs(v) >> 9, abs(v) & 511
    y = 0x7FFF << 10 if i >= 255 else (TABLE[i] << 9) + t * (TABLE[i + 1] - TABLE[i])
    return (y + (1 << 9) if v >= 0 else (1 << 25) - y + (1 << 9) - 1) >> 10


def tanh16(x, power):
    v = scaled16(x, power)
    i, t = abs(v) >> 8, abs(v) & 255
    y = 0xFFFF << 8 if i >= 255 else (TABLE[i] << 8) + t * (TABLE[i + 1] - TABLE[i])
    return (y - (1 << 23) + (1 << 7) if v >= 0 else -y + (1 << 23) + (1 << 7) - 1) >> 8


def sat16(x):
    return clamp(x, -32768, 32767)


def lstm(x, h, c, w, r, bias, steps, qx, qh, sc, sw, sr, clip):
    size, ins = len(bias[0]), len(x) // steps
    mx = [multiplier(f32(qx[0] * s) / 2.0**-12) for s in sw]
    mr = [multiplier(f32(qh[0] * s) / 2.0**-12) for s in sr]
    m_forget, m_input = multiplier(2.0**-15 * sc / sc), multiplier(2.0**-15 * 2.0**-15 / sc)
    m_out = multiplier(2.0**-15 * 2.0**-15 / qh[0])
    power = int(math.log2(sc))
    h, c, out = list(h), list(c), []
    for t in range(steps):
        row = x[t * ins : (t + 1) * ins]

        def gate(g):
            v = []
            for i in range(size):
                a = bias[g][i] + sum((row[k] - qx[1]) * w[g][i * ins + k] for k in range(ins))
                b = sum((h[k] - qh[1]) * r[g][i * size + k] for k in range(size))
                v.append(sat16(sat16(mbqm(a, *mx[g])) + sat16(mbqm(b, *mr[g]))))
            return [tanh16(s, 0) if g == 2 else logistic16(s) for s in v]

        i_, f_, g_, o_ = gate(0), gate(1), gate(2), gate(3)
        for k in range(size):
            kept, fresh = sat16(mbqm(f_[k] * c[k], *m_forget)), sat16(mbqm(i_[k] * g_[k], *m_input))
            c[k] = sat16(kept + fresh)
            if clip > 0:
                limit = int(min(clip / sc, 32767.0))
                c[k] = clamp(c[k], -limit, limit)
        h = [clamp(mbqm(tanh16(c[k], 12 + power) * o_[k], *m_out) + qh[1]) for k in range(size)]
        out += h
    return out + c


def svdf_state(state, x, w, filters, memory, qs, qx, sw, wide):
    m = multiplier(f32(f32(qx[0] * sw) / qs[0]))
    lo, hi = (-32768, 32767) if wide else (-128, 127)
    out = []
    for f in range(filters):
        dot = sum(w[f * len(x) + k] * (x[k] - qx[1]) for k in range(len(x)))
        out += state[f * memory + 1 : (f + 1) * memory] + [clamp(qs[1] + mbqm(dot, *m), lo, hi)]
    return out


def svdf(state, time, bias, rank, memory, qs, st, qy):
    m = multiplier(f32(f32(qs[0] * st) / qy[0]))
    taps = rank * memory
    return [
        clamp(qy[1] + mbqm(bias[u] + sum((state[u * taps + k] - qs[1]) * time[u * taps + k] for k in range(taps)), *m))
        for u in range(len(bias))
    ]


# -- rows --


def num(x):
    return "%.9g" % x


def quant(q):
    return "q(%s, %d)" % (num(q[0]), q[1])


def codes(v):
    return ",".join(str(c) for c in v)


def emit(graph, inputs, want):
    lines = []
    text = graph
    while len(text) > 95:
        cut = text.rfind(" ", 0, 95) + 1
        lines.append(text[:cut])
        text = text[cut:]
    lines.append(text)
    print("    {" + "\n     ".join('"%s"' % line for line in lines) + ",")
    print("     {" + ", ".join(split(codes(v)) for v in inputs) + "},")
    print("     " + split(codes(want)) + "},")


def split(text):
    parts = []
    while len(text) > 95:
        cut = text.rfind(",", 0, 95) + 1
        parts.append(text[:cut])
        text = text[cut:]
    parts.append(text)
    return "\n      ".join('"%s"' % p for p in parts)


def some(r, n, lo=-128, hi=127):
    return [r.choice((lo, hi, r.randint(lo, hi), r.randint(lo, hi), r.randint(lo, hi))) for _ in range(n)]


def binary(r, op, n, qa, qb, qy, f, kind="i8", b=None):
    a, b = some(r, n), b or some(r, n)
    y = "%s[%d]%s" % (kind, n, " " + quant(qy) if qy else "")
    emit(
        "%%a = input : i8[%d] %s %%b = input : i8[%d] %s %%y = %s(%%a, %%b) : %s output %%y"
        % (n, quant(qa), n, quant(qb), op, y),
        [a, b],
        f(a, b),
    )


def unary(op, attrs, x, shape, qx, shape_y, qy, want):
    emit(
        "%%x = input : i8[%s] %s %%y = %s(%%x)%s : i8[%s] %s output %%y"
        % (shape, quant(qx), op, attrs and " {%s}" % attrs, shape_y, quant(qy)),
        [x],
        want,
    )


def quants(pairs):
    return [(f32(s), z) for s, z in pairs]


def elementwise(r):
    for op in ("Equal", "Less", "LessOrEqual"):
        for qa, qb in (((0.05, 3), (0.0625, -7)), ((0.0011, 0), (0.0011, 0)), ((2.5, -20), (0.7, 10))):
            qa, qb = quants((qa, qb))
            near = [r.randint(-12, 12) for _ in range(24)]
            binary(r, op, 24, qa, qb, None, lambda a, b: compare(op, a, b, qa, qb), "bool", near)
    for qa, qb, qy in (
        ((0.05, 3), (0.02, -7), (0.1, -1)),
        ((0.5, -128), (0.004, 0), (3.0, 5)),
        ((0.013, 127), (0.4, -128), (0.0007, 11)),
    ):
        qa, qb, qy = quants((qa, qb, qy))
        b = [c if c != qb[1] else c + 1 for c in some(r, 32)]
        b = [clamp(c) if clamp(c) != qb[1] else 100 for c in b]
        binary(r, "Div", 32, qa, qb, qy, lambda a, b: div(a, b, qa, qb, qy), b=b)
        binary(r, "SquaredDifference", 32, qa, qb, qy, lambda a, b: squared_difference(a, b, qa, qb, qy))
        wide = (f32(qa[0] * 40), qy[1])
        binary(r, "SquaredDifference", 24, qa, qb, wide, lambda a, b: squared_difference(a, b, qa, qb, wide))


def reductions(r):
    for qx, qy in (((0.05, 3), (0.2, -4)), ((0.1, -128), (0.31, -128)), ((0.3, 5), (0.011, 0))):
        qx, qy = quants((qx, qy))
        x = some(r, 24)
        at = lambda i, j, k: x[(i * 3 + j) * 4 + k]
        unary("ReduceSum", "axes=[1]", x, "2,3,4", qx, "2,1,4", qy,
              [total([at(i, j, k) for j in range(3)], qx, qy) for i in range(2) for k in range(4)])
        unary("ReduceSum", "axes=[0,2]", x, "2,3,4", qx, "1,3,1", qy,
              [total([at(i, j, k) for i in range(2) for k in range(4)], qx, qy) for j in range(3)])
        unary("ReduceMax", "axes=[0,2], keepdims=0", x, "2,3,4", qx, "3", qx,
              [max(at(i, j, k) for i in range(2) for k in range(4)) for j in range(3)])
        unary("ReduceMin", "axes=[1]", x, "2,3,4", qx, "2,1,4", qx,
              [min(at(i, j, k) for j in range(3)) for i in range(2) for k in range(4)])


def products(r):
    for qa, qb, qy in (((0.05, 3), (0.02, -7), (0.1, -1)), ((0.011, -128), (0.3, 127), (2.7, 20))):
        qa, qb, qy = quants((qa, qb, qy))
        a, b = some(r, 2 * 3 * 5), some(r, 5 * 4)
        emit(
            "%%a = input : i8[2,3,5] %s %%b = input : i8[1,5,4] %s %%y = MatMul(%%a, %%b) : i8[2,3,4] %s output %%y"
            % (quant(qa), quant(qb), quant(qy)),
            [a, b],
            matmul(a[:15], b, 3, 5, 4, qa, qb, qy) + matmul(a[15:], b, 3, 5, 4, qa, qb, qy),
        )
    for s, top, left, grow in ((2, 0, 0, 0), (3, 1, 0, 0), (1, 1, 1, 1)):
        h, wd, ins, outs, kh, kw = 3, 2, 3, 2, 3, 2
        out_h = (h - 1) * s + kh - 2 * top + grow
        out_w = (wd - 1) * s + kw - left
        qx, qy = quants(((0.05, -9), (0.31, 4)))
        scales = [f32(0.011), f32(0.043)]
        x, w, bias = some(r, h * wd * ins), some(r, outs * kh * kw * ins, -127), [r.randint(-900, 900) for _ in "ab"]
        emit(
            "%%x = input : i8[1,%d,%d,%d] %s %%w = const : i8[%d,%d,%d,%d] q(axis=0, %s) {%s} "
            "%%b = const : i32[%d] {%s} "
            "%%y = ConvTranspose(%%x, %%w, %%b) {strides=[%d,%d], pads=[%d,%d,%d,0], extra=[%d,0]} "
            ": i8[1,%d,%d,%d] %s output %%y"
            % (h, wd, ins, quant(qx), outs, kh, kw, ins, ", ".join(num(v) + " 0" for v in scales),
               codes(w).replace(",", ", "), outs, codes(bias), s, s, top, left, top, grow, out_h, out_w, outs, quant(qy)),
            [x],
            conv_transpose(x, w, bias, h, wd, ins, outs, kh, kw, s, s, top, left, out_h, out_w, qx, scales, qy),
        )


def norms(r):
    for zero in (-128, 5, 127):
        x = some(r, 24)
        unary("L2Normalization", "", x, "2,12", (f32(0.1), zero), "2,12", (1 / 128, 0), l2(x[:12], zero) + l2(x[12:], zero))
    unary("L2Normalization", "", [7, 7, 7, 7, 8, 7], "2,3", (f32(0.1), 7), "2,3", (1 / 128, 0),
          l2([7, 7, 7], 7) + l2([7, 8, 7], 7))
    for scale in (0.1, 0.0017, 1.3, 30.0):
        x = some(r, 48)
        x[24:] = [r.randint(90, 127) for _ in range(24)]
        unary("LogSoftmax", "", x, "2,24", (f32(scale), 3), "2,24", (1 / 16, 127),
              log_softmax(x[:24], f32(scale)) + log_softmax(x[24:], f32(scale)))


def images(r):
    for h, w, c, out_h, out_w in ((3, 4, 2, 5, 6), (5, 4, 1, 3, 2), (1, 2, 3, 4, 1)):
        for corners, half in ((0, 0), (1, 0), (0, 1)):
            x = some(r, h * w * c)
            attrs = "size=[%d,%d], align_corners=%d, half_pixel_centers=%d" % (out_h, out_w, corners, half)
            attrs = attrs.replace(", align_corners=0", "").replace(", half_pixel_centers=0", "")
            q = (f32(0.1), 3)
            unary("ResizeBilinear", attrs, x, "1,%d,%d,%d" % (h, w, c), q, "1,%d,%d,%d" % (out_h, out_w, c), q,
                  resize(x, h, w, c, out_h, out_w, corners, half))


def const(name, kind, shape, v, scale=None):
    return "%%%s = const : %s[%s]%s {%s} " % (
        name, kind, shape, "" if scale is None else " q(%s, 0)" % num(scale), codes(v).replace(",", ", "))


def cells(r):
    for steps, ins, size, power, clip in ((3, 4, 3, -11, 0), (2, 2, 4, -12, 0), (2, 3, 2, -14, 0.9), (1, 5, 3, -15, 0)):
        qx, qh = quants(((0.05, -7), (0.0078125, 12)))
        sc = 2.0**power
        sw, sr = [[f32(0.002 * (k + 1) * f) for k in range(4)] for f in (1, 3)]
        x, h = some(r, steps * ins), some(r, size)
        c = [r.randint(-32768, 32767) for _ in range(size)]
        w, rec = [[some(r, size * n, -127) for _ in range(4)] for n in (ins, size)]
        bias = [[r.randint(-20000, 20000) for _ in range(size)] for _ in range(4)]
        text = "%%x = input : i8[1,%d,%d] %s %%h = input : i8[1,%d] %s %%c = input : i16[1,%d] q(%s, 0) " % (
            steps, ins, quant(qx), size, quant(qh), size, num(sc))
        for k in range(4):
            text += const("w%d" % k, "i8", "%d,%d" % (size, ins), w[k], sw[k])
            text += const("r%d" % k, "i8", "%d,%d" % (size, size), rec[k], sr[k])
            text += const("b%d" % k, "i32", size, bias[k])
        names = ", ".join("%%%s%d" % (n, k) for n in "wrb" for k in range(4))
        text += "%%y = SequenceLstm(%%x, %%h, %%c, %s)%s : i16[1,%d,%d] q(1, 0) output %%y" % (
            names, " {clip=%s}" % num(clip) if clip else "", steps + 1, size)
        emit(text, [x, h, c], lstm(x, h, c, w, rec, bias, steps, qx, qh, sc, sw, sr, f32(clip)))
    for wide in (True, False):
        ins, filters, memory, rank = 5, 6, 3, 2
        qs, qx, qy = quants(((0.002 if wide else 0.2, 0 if wide else -9), (0.05, 3), (60 if wide else 1.2, -20)))
        sw, st = f32(0.012), f32(0.0021 if wide else 0.02)
        kind = "i16" if wide else "i8"
        top = 32767 if wide else 127
        state = [r.randint(-top - 1, top) for _ in range(filters * memory)]
        time = [r.randint(-top, top) for _ in range(filters * memory)]
        x, w = some(r, ins), some(r, filters * ins, -127)
        bias = [r.randint(-9000, 9000) for _ in range(filters // rank)]
        emit(
            "%%s = input : %s[1,%d] %s %%x = input : i8[1,%d] %s " % (kind, filters * memory, quant(qs), ins, quant(qx))
            + const("w", "i8", "%d,%d" % (filters, ins), w, sw)
            + "%%y = SvdfState(%%s, %%x, %%w) : %s[1,%d] %s output %%y" % (kind, filters * memory, quant(qs)),
            [state, x], svdf_state(state, x, w, filters, memory, qs, qx, sw, wide))
        emit(
            "%%s = input : %s[1,%d] %s " % (kind, filters * memory, quant(qs))
            + const("t", kind, "%d,%d" % (filters, memory), time, st)
            + const("b", "i32", filters // rank, bias)
            + "%%y = Svdf(%%s, %%t, %%b) {rank=%d} : i8[1,%d] %s output %%y" % (rank, filters // rank, quant(qy)),
            [state], svdf(state, time, bias, rank, memory, qs, st, qy))


def main():
    r = random.Random(7)
    print("""/* Rows of TFLite's int8 operators, with the codes of its reference kernels. Written by scripts/tflite-values.py. */
/* clang-format off */
#include "tests/ir/eval_rows.h"

static const EvalCase rows[] = {""")
    for part in (elementwise, reductions, products, norms, images, cells):
        part(r)
    print("""};

const EvalRows eval_rows_int8 = {rows, (int)(sizeof rows / sizeof rows[0])};""")


if __name__ == "__main__":
    main()
