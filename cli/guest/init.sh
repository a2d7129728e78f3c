#!/bin/sh
# The first and only process of the tiny guest: the root file system is the initramfs. It does what cloud-init does on a
# large one: addresses by DHCP, metadata from the config drive or the network, an SSH key, user data.
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm /run /tmp /mnt /root/.ssh
mount -t devpts pts /dev/pts
mount -t tmpfs tmp /run
up() { read seconds _ </proc/uptime; echo "$seconds"; }
say() { for screen in /dev/console /dev/tty0; do echo "guest $(up)s: $*" >$screen; done; }
for module in $(cat /etc/modules); do modprobe "$module" 2>/dev/null; done
ip link set lo up
hostname guest

kept=$(findfs LABEL=kept 2>/dev/null)
if [ -n "$kept" ] && mkdir -p /kept && mount -t ext4 "$kept" /kept; then
  mkdir -p /kept/root/.ssh /kept/tmp /kept/dropbear /etc/dropbear
  chmod 1777 /kept/tmp
  mount -o bind /kept/root /root
  mount -o bind /kept/tmp /tmp
  mount -o bind /kept/dropbear /etc/dropbear
  say "keeps /root and /tmp on $kept"
fi

metadata=/run/meta_data.json
source=none
drive=$(findfs LABEL=config-2 2>/dev/null)
if [ -n "$drive" ]; then
  mkdir -p /mnt/config
  mount -o ro -t iso9660 "$drive" /mnt/config 2>/dev/null
  if [ -f /mnt/config/openstack/latest/meta_data.json ]; then
    cp /mnt/config/openstack/latest/meta_data.json $metadata
    cp /mnt/config/openstack/latest/user_data /run/user_data 2>/dev/null
    source=drive
  fi
fi

configure() { # an interface by DHCP
  ip link set "$1" up
  udhcpc -i "$1" -n -p "/run/udhcpc.$1.pid" -O staticroutes -O mtu -t 6 -T 1 -A 1 -s /etc/dhcp.sh >"/run/dhcp.$1" 2>&1 && say "$1 has $(ip -4 -o addr show dev "$1" | awk '{print $4}')" || say "$1 has no address"
}
for path in /sys/class/net/eth*; do [ -e "$path" ] && configure "${path##*/}"; done

if [ $source = none ]; then
  tries=0
  while [ $tries -lt 10 ]; do
    timeout 3 wget -q -O $metadata http://169.254.169.254/openstack/latest/meta_data.json 2>/dev/null && source=network && break
    tries=$((tries + 1)); sleep 0.3
  done
  timeout 3 wget -q -O /run/user_data http://169.254.169.254/openstack/latest/user_data 2>/dev/null || rm -f /run/user_data
fi
if [ $source != none ]; then
  name=$(sed -n 's/.*"hostname": *"\([^"]*\)".*/\1/p' $metadata | head -1)
  [ -n "$name" ] && hostname "${name%%.*}"
  tr ',' '\n' <$metadata | sed -n 's/.*"\(\(ssh\|ecdsa\)-[a-z0-9-]* [^"\\]*\).*/\1/p' | sort -u >/root/.ssh/authorized_keys
  chmod 700 /root/.ssh
  chmod 600 /root/.ssh/authorized_keys
fi
say "metadata from $source, name $(hostname), $(grep -c . /root/.ssh/authorized_keys 2>/dev/null) keys"
mkdir -p /etc/dropbear
/usr/sbin/dropbear -R -E 2>/run/dropbear.log &
# the power button
( for event in /dev/input/event*; do [ -e "$event" ] || continue
    ( while dd if="$event" bs=24 count=1 2>/dev/null | od -An -tu2 -j16 -N6 | grep -q '^ *1 *116 *1'; do poweroff -f; done ) & done ) &
# disks that come and go
( before=; while :; do now=$(ls /sys/block | grep '^[vs]d' | tr '\n' ' '); [ "$now" = "$before" ] || { say "disks: $now"; before=$now; }; sleep 0.5; done ) &
# interfaces that come later
( while :; do for path in /sys/class/net/eth*; do [ -e "$path" ] && [ ! -e "/run/dhcp.${path##*/}" ] && configure "${path##*/}"; done; sleep 1; done ) &
if [ -s /run/user_data ] && [ "$(head -c 2 /run/user_data)" = "#!" ]; then chmod +x /run/user_data; /run/user_data; fi
say "ready"
for screen in /dev/console /dev/tty0; do printf '\n%s login: \n' "$(hostname)" >$screen; done
( while :; do setsid sh -c 'exec sh -l </dev/tty1 >/dev/tty1 2>&1'; sleep 1; done ) &
while :; do setsid cttyhack sh -l </dev/console >/dev/console 2>&1; done
