# What comes after the commands of docs/operate.md, in the system that boot.sh starts.
say() { echo "== $*"; }
fail() { echo "FAILED: $*"; systemctl status bungee --no-pager -l; exit 1; }
ca=~/.config/bungee/ca
doctor() { bungee doctor 127.0.0.1:4433 --certs $ca/tenant/acme/ue/headset-1 >/tmp/doctor 2>&1; }
call() { doctor || { cat /tmp/doctor; fail "no call is served: $*"; }; }

say "it runs as nobody else, without rights, and cannot write"
pid=$(systemctl show -P MainPID bungee)
[ "$(stat -c %U "/proc/$pid")" = bungee ] || fail "it is $(stat -c %U "/proc/$pid")"
grep -Eq '^CapBnd:[[:space:]]+0+$' "/proc/$pid/status" || fail "it has capabilities"
grep -Eq '^NoNewPrivs:[[:space:]]+1$' "/proc/$pid/status" || fail "it can get privileges"
grep -Eq '^Seccomp:[[:space:]]+2$' "/proc/$pid/status" || fail "it has no filter of system calls"
for file in /usr/x /etc/x /etc/bungee/x; do nsenter -t "$pid" -m -r touch $file 2>/dev/null && fail "$file can be written"; done
[ -n "$(ls /var/cache/bungee)" ] || fail "it keeps no module"

say "manual pages and completion are there"
for page in bungee bungee-host bungee-doctor; do [ -e /usr/share/man/man1/$page.1.gz ] || fail "no page $page"; done
[ -s /usr/share/bash-completion/completions/bungee ] && [ -s /usr/share/zsh/vendor-completions/_bungee ] && [ -s /usr/share/fish/vendor_completions.d/bungee.fish ] || fail "no completion"
[ -z "$(dpkg --verify bungee)" ] || fail "files differ from the package's"

say "a reload leaves it serving"
systemctl reload bungee
call "after reload"
[ "$(systemctl show -P MainPID bungee)" = "$pid" ] || fail "a reload has made another process"

say "its settings and certificates have no fault that user bungee would find"
runuser -u bungee -- bungee host check --config /etc/bungee/host.toml || fail "bungee host check"
[ -z "$(find /etc/bungee/certs -name '*.key' -perm /077)" ] || fail "others can read the host's key"

say "a renewed certificate counts without a restart, and a revoked device is refused"
bungee ca renew --all
install -o bungee -m 0400 $ca/host/edge-1/* /etc/bungee/certs/
call "with renewed certificates"
bungee ca issue ue stolen --tenant acme
bungee ca revoke ue stolen --tenant acme
install -o bungee -m 0400 $ca/revoked.pem /etc/bungee/certs/
systemctl reload bungee
for n in $(seq 100); do bungee doctor 127.0.0.1:4433 --certs $ca/tenant/acme/ue/stolen >/tmp/stolen 2>&1 || break; sleep 0.1; done
grep -q 'wrong .*' /tmp/stolen || fail "a revoked device is served"
sed -n '/^wrong/p' /tmp/stolen
call "beside a revoked device"
[ "$(systemctl show -P MainPID bungee)" = "$pid" ] || fail "another process serves"

say "a process that dies comes back"
kill -9 "$pid"
for n in $(seq 100); do # until systemd has noticed, the service is active without a process
	case $(systemctl show -P MainPID bungee) in 0 | "$pid") ;; *) systemctl is-active --quiet bungee && break ;; esac
	sleep 0.1
done
call "after kill -9"

say "with MemoryDenyWriteExecute no module is loaded, which is why the unit does not have it"
mkdir -p /run/systemd/system/bungee.service.d
printf '[Service]\nMemoryDenyWriteExecute=yes\n' >/run/systemd/system/bungee.service.d/mdwe.conf
systemctl daemon-reload
systemctl restart bungee && doctor && fail "it serves: the unit may have it"
sed -n '/^wrong  policy/p' /tmp/doctor
rm /run/systemd/system/bungee.service.d/mdwe.conf
systemctl daemon-reload
systemctl reset-failed bungee
systemctl restart bungee
call "without it"

say "configuration and certificates outlive an upgrade, and installing twice changes nothing"
echo '# changed here' >>/etc/bungee/host.toml
before=$(cat /etc/bungee/certs/*.pem /etc/bungee/host.toml | sha256sum)
dpkg -i --force-confold next.deb
call "after the upgrade"
dpkg -i --force-confold next.deb
dpkg -i --force-confold --force-downgrade bungee_*.deb
call "after the way back"
[ "$(cat /etc/bungee/certs/*.pem /etc/bungee/host.toml | sha256sum)" = "$before" ] || fail "it has changed files of the operator"
/var/lib/dpkg/info/bungee.postinst configure ''
/var/lib/dpkg/info/bungee.postinst configure ''

say "it drains, and ends by itself"
systemctl stop bungee
[ "$(systemctl show -P Result bungee)" = success ] || fail "it ended with $(systemctl show -P Result bungee)"

say "a purge leaves nothing"
systemctl start bungee
dpkg --purge bungee
pgrep -x bungee && fail "it runs"
left=$(find / -xdev \( -path /root -o -path /work -o -path /home -o -path /tmp \) -prune -o -name '*bungee*' -newer /test/operator -print)
[ -z "$left" ] || fail "files are left: $left"
getent passwd bungee && fail "the user is left"
echo "all is well"
