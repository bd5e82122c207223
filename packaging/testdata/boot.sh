#!/bin/bash
# boot.sh DIR PACKAGES: starts a system of its own, with this machine's files below, a network of its own, and
# systemd as its first process, which runs the script DIR/operator with the folder PACKAGES at /packages. Its output
# is in DIR/said. Nothing outlives it but DIR. The exit status is the script's, or 77 where this machine
# makes no such system; DIR/why says why.
set -eu
dir=$1 packages=$2
no() { echo "$1" >"$dir/why"; exit 77; }

if [ "${3:-}" != inside ]; then
	[ "$(id -u)" = 0 ] || no "it needs root"
	[ -x /lib/systemd/systemd ] || no "systemd is not installed"
	group=/sys/fs/cgroup/systemd
	[ ! -e /sys/fs/cgroup/cgroup.controllers ] || group=/sys/fs/cgroup
	group=$group/bungee-test-$$
	mkdir "$group" || no "no control group can be made at $group"
	trap 'find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null' EXIT
	status=0
	(echo $BASHPID >"$group/cgroup.procs" && exec unshare --cgroup --mount --pid --fork --kill-child --uts --ipc --net bash "$0" "$dir" "$packages" inside) || status=$?
	exit $status
fi

root=$dir/root
mkdir -p "$root"
mount --make-rprivate / || no "no mounts of its own"
mount -t tmpfs tmpfs "$root" || no "no tmpfs"
mkdir "$root/upper" "$root/work" "$root/all"
mount -t overlay overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" "$root/all" || no "no overlay of /"
cd "$root/all"
mkdir -p packages test
mount --bind "$packages" packages
mount --bind "$dir" test
mount -t proc proc proc
mount --bind proc/sys proc/sys && mount -o remount,bind,ro proc/sys # the machine's settings stay as they are
mount -t sysfs -o ro sysfs sys
mount -t tmpfs tmpfs dev
for d in null zero full random urandom tty; do touch dev/$d && mount --bind /dev/$d dev/$d; done
mkdir dev/shm dev/pts
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /test/console dev/console
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	mount -t cgroup2 cgroup sys/fs/cgroup || no "no control groups"
else
	mount -t tmpfs tmpfs sys/fs/cgroup
	mkdir sys/fs/cgroup/systemd
	mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd || no "no control groups"
fi
ip link set lo up
# As on a fresh machine: nothing else is started, and a package's pages are not left out.
rm -rf etc/systemd/system/*.wants etc/dpkg/dpkg.cfg.d/* etc/bungee var/lib/bungee root/.config/bungee
touch "$dir/console" "$dir/said"
cat >etc/systemd/system/operator.service <<X
[Unit]
SuccessAction=exit-force
FailureAction=exit-force
FailureActionExitStatus=1

[Service]
Type=oneshot
ExecStart=/bin/bash -eu /test/operator
Environment=HOME=/root
StandardOutput=append:/test/said
StandardError=inherit
X
pivot_root . mnt # whoever enters its mounts must not find the machine's files
exec env -i PATH="$PATH" container=other chroot . /bin/sh -c 'umount -l /mnt; exec /lib/systemd/systemd "$@"' systemd --system --unit=operator.service --log-target=console --show-status=no
