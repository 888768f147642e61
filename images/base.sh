#!/bin/sh
# Turns the Python base image into what runs: Debian packages added (the arguments), what installs packages taken away,
# the standard library's bytecode written, which python:3.11-slim comes without and a read-only container cannot keep.
set -eu

if [ "$#" -gt 0 ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
fi

# Python's own, or Debian's where the base's Python is Debian's.
for name in pip setuptools wheel pkg_resources _distutils_hack distutils-precedence; do
    rm -rf /usr/local/lib/python3*/site-packages/"$name"*
done
rm -rf /usr/local/lib/python3*/ensurepip /usr/local/bin/pip* /usr/local/bin/wheel
debian=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' python3-pip python3-setuptools python3-wheel python3-venv \
    'python3.*-venv' python3-pip-whl python3-setuptools-whl 2>/dev/null | sed -n 's/^installed //p')
if [ -n "$debian" ]; then
    # shellcheck disable=SC2086
    apt-get purge -y -qq --auto-remove $debian
fi

python3 -m compileall -q --invalidation-mode unchecked-hash -x '/(test|tests|idlelib|lib2to3|tkinter|site-packages|dist-packages)/' \
    "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"

rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/apt /var/log/dpkg.log
