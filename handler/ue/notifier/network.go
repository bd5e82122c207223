package notifier

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	stdnet "net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/shirou/gopsutil/v3/net"
)

// A network reads what interfaces sent and received, and of which kind the one is that the default route leads to.
type network struct {
	root, sys string
	loop      map[string]bool // the loopback interfaces
	kinds     map[string]Link // of interfaces that were asked for
}

func (w *network) look(root, sys string) {
	w.root, w.sys = root, sys
	w.kinds = map[string]Link{}
	w.loop = map[string]bool{}
	all, err := stdnet.Interfaces()
	if err != nil {
		w.loop = map[string]bool{"lo": true, "lo0": true} // as Linux and Darwin call it
	}
	for _, i := range all {
		if i.Flags&stdnet.FlagLoopback != 0 {
			w.loop[i.Name] = true
		}
	}
}

func (w *network) read(ctx context.Context, r *Round, files *files) {
	w.readBytes(ctx, r)
	name, why := w.defaultRoute(files)
	if name == "" {
		r.Unknown(LinkKind, why)
		return
	}
	kind, ok := w.kinds[name]
	if !ok {
		kind = w.kind(name)
		w.kinds[name] = kind
	}
	if kind == UnknownLink {
		r.Unknown(LinkKind, name+" is of no kind that is known")
		return
	}
	r.Tell(LinkKind, float64(kind), name)
}

func (w *network) readBytes(ctx context.Context, r *Round) {
	counters, err := net.IOCountersWithContext(ctx, true)
	if err != nil || len(counters) == 0 {
		for _, m := range []Metric{BytesUp, BytesDown, LoopUp, LoopDown} {
			r.Unknown(m, "this system does not tell it")
		}
		return
	}
	var up, down, loopUp, loopDown uint64
	for _, c := range counters {
		if w.loop[c.Name] {
			loopUp, loopDown = loopUp+c.BytesSent, loopDown+c.BytesRecv
		} else {
			up, down = up+c.BytesSent, down+c.BytesRecv
		}
	}
	r.Tell(BytesUp, float64(up), bytesFrom)
	r.Tell(BytesDown, float64(down), bytesFrom)
	r.Tell(LoopUp, float64(loopUp), bytesFrom)
	r.Tell(LoopDown, float64(loopDown), bytesFrom)
}

// defaultRoute returns the interface that packets to the internet leave by: IPv4's, or else IPv6's. Without any, a device that has
// nothing but loopback leaves by that.
func (w *network) defaultRoute(files *files) (name, why string) {
	text, err := files.text(filepath.Join(w.root, "proc/net/route"))
	if err == nil {
		if name = route4(text); name != "" {
			return name, ""
		}
		if text, err := files.text(filepath.Join(w.root, "proc/net/ipv6_route")); err == nil {
			if name = route6(text); name != "" {
				return name, ""
			}
		}
		if w.alone() {
			return "lo", ""
		}
		return "", "no default route"
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "", "this system does not tell its routes"
	}
	return "", fmt.Sprintf("routes cannot be read: %v", err)
}

// alone says whether there is no interface but lo.
func (w *network) alone() bool {
	all, err := os.ReadDir(filepath.Join(w.sys, "class/net"))
	return err == nil && len(all) == 1 && all[0].Name() == "lo"
}

// Flags of routes, include/uapi/linux/route.h and ipv6_route.h.
const (
	routeUp     = 0x1
	routeReject = 0x200
)

// route4 returns the interface of the default route with the least metric, in the text of /proc/net/route: a heading, and lines
//
//	interface destination gateway flags references use metric mask ...
//
// with numbers in base 16 but for the metric. What comes after a page of it is not looked at.
func route4(text []byte) string {
	name, least := "", uint64(1<<63)
	for line := range bytes.Lines(text) {
		f := strings.Fields(string(line))
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		flags, err := strconv.ParseUint(f[3], 16, 32)
		metric, errMetric := strconv.ParseUint(f[6], 10, 63)
		if err == nil && errMetric == nil && flags&routeUp != 0 && flags&routeReject == 0 && metric < least {
			name, least = f[0], metric
		}
	}
	return fit(name)
}

// route6 does that for /proc/net/ipv6_route, whose lines read, in base 16,
//
//	destination length source length gateway metric references use flags interface
func route6(text []byte) string {
	name, least := "", uint64(1<<63)
	for line := range bytes.Lines(text) {
		f := strings.Fields(string(line))
		if len(f) != 10 || strings.Trim(f[0], "0") != "" || f[1] != "00" || f[9] == "lo" {
			continue
		}
		metric, errMetric := strconv.ParseUint(f[5], 16, 63)
		flags, err := strconv.ParseUint(f[8], 16, 64)
		if err == nil && errMetric == nil && flags&routeUp != 0 && flags&routeReject == 0 && metric < least {
			name, least = f[9], metric
		}
	}
	return fit(name)
}

// fit returns the name of an interface if it can be one: it becomes part of a path.
func fit(name string) string {
	if len(name) > 15 || strings.ContainsAny(name, "/\x00") || name == "." || name == ".." || name != printable(name) {
		return ""
	}
	return name
}

// Types of interfaces, include/uapi/linux/if_arp.h.
const (
	arpEther    = 1
	arpLoopback = 772
	arpRawIP    = 519 // modems of Qualcomm: rmnet
)

// kind returns the kind of an interface, as sysfs tells it. Tunnels, bridges and PPP are of an unknown kind: what is under
// them may be anything.
func (w *network) kind(name string) Link {
	dir := filepath.Join(w.sys, "class/net", name)
	has := func(file string) bool {
		_, err := os.Stat(filepath.Join(dir, file))
		return err == nil
	}
	arp, ok := readNumber(filepath.Join(dir, "type"))
	event := readText(filepath.Join(dir, "uevent"))
	switch {
	case !ok:
		return UnknownLink
	case arp == arpLoopback:
		return Loopback
	case has("wireless"), has("phy80211"), strings.Contains(event, "DEVTYPE=wlan"):
		return WiFi
	// wwan: the kernel's own word; rmnet and ccmni: modems of Qualcomm and MediaTek, whose drivers say ethernet or nothing.
	case arp == arpRawIP, strings.Contains(event, "DEVTYPE=wwan"), matches("rmnet*", name), matches("ccmni*", name), matches("wwan*", name):
		return Cellular
	case strings.Contains(event, "DEVTYPE=bridge"), has("bridge"), has("tun_flags"):
		return UnknownLink
	case arp == arpEther:
		return Ethernet
	}
	return UnknownLink
}
