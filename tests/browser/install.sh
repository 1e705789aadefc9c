#!/bin/sh
# Chromium and its driver, of Debian: installed where we may, else one line says what is missing.
set -eu
if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then
    exit 0
fi
packages="chromium chromium-driver"
as_root=""
if [ "$(id -u)" != 0 ]; then
    as_root="sudo -n"
fi
if ! command -v apt-get >/dev/null || ! $as_root true 2>/dev/null; then
    echo "test-browser: found no chromium or no chromedriver, expected both:" \
        "as root, apt-get install $packages" >&2
    exit 1
fi
$as_root apt-get update -qq
$as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -qq --yes --no-install-recommends $packages >/dev/null
