#!/bin/sh
# engine.sh FOLDER: becomes a Docker daemon whose root is FOLDER/root, a Debian of its own. It runs in a mount
# namespace of its own (unshare --mount), so all its mounts end with it. It changes no firewall and forwards no packets.
set -eu
root=$1/root
mount --bind "$root" "$root"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount -t tmpfs tmpfs "$root/run"
mkdir -p "$root$1"
mount --bind "$1" "$root$1"
cp /etc/resolv.conf "$root/etc/resolv.conf"
cd "$root"
pivot_root . mnt
umount -l /mnt
exec dockerd --host "unix://$1/docker.sock" --data-root /var/lib/docker --exec-root /run/docker \
  --pidfile /run/docker.pid --bridge none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false \
  --log-level warn
