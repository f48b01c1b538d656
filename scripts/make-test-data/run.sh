#!/bin/sh
# Make tests/data/onnx, onnx_quant and onnx_ops again: small models with seeded weights, and what ONNX Runtime computes from them.
# Run by hand (node and npm needed); the result is committed.  The oracle is installed outside of the tree.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cp "$here/package.json" "$tmp"
# The CPU library is in the package; its install script would only fetch others.
(cd "$tmp" && npm install --ignore-scripts --no-audit --no-fund --loglevel=error)
for list in models:onnx models_quant:onnx_quant models_ops:onnx_ops; do
  NODE_PATH="$tmp/node_modules" node "$here/generate.js" "$here/../../tests/data/${list#*:}" "${list%:*}"
done
