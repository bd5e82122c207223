package notifier

import (
	"strings"
	"testing"
)

const (
	heading   = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
	wlan600   = "wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n"
	eth100    = "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
	ethLocal  = "eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
	ethReject = "eth1\t00000000\t00000000\t0201\t0\t0\t1\t00000000\t0\t0\t0\n"
	ethDown   = "eth2\t00000000\t00000000\t0002\t0\t0\t1\t00000000\t0\t0\t0\n"
	rmnet6    = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 rmnet_data0\n"
	lo6       = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200 lo\n"
)

func TestLinkKind(t *testing.T) {
	const net = "sys/class/net/"
	iface := map[string]map[string]string{
		"eth0":        {net + "eth0/type": "1", net + "eth0/uevent": "INTERFACE=eth0\nIFINDEX=2"},
		"wlan0":       {net + "wlan0/type": "1", net + "wlan0/uevent": "DEVTYPE=wlan\nINTERFACE=wlan0"},
		"old wifi":    {net + "wlan0/type": "1", net + "wlan0/wireless/status": "0"},
		"rmnet_data0": {net + "rmnet_data0/type": "519"},
		"wwan":        {net + "eth0/type": "1", net + "eth0/uevent": "DEVTYPE=wwan"},
		"tun":         {net + "eth0/type": "65534"},
		"bridge":      {net + "eth0/type": "1", net + "eth0/uevent": "DEVTYPE=bridge"},
		"lo":          {net + "lo/type": "772"},
	}
	tests := []struct {
		why, routes, routes6 string
		ifaces               []string
		want                 Link
		from, reason         string
	}{
		{"a wire", heading + ethLocal + eth100, "", []string{"eth0", "lo"}, Ethernet, "eth0", ""},
		{"the least metric leads", heading + wlan600 + eth100, "", []string{"eth0", "wlan0"}, Ethernet, "eth0", ""},
		{"wifi", heading + wlan600, lo6, []string{"wlan0", "eth0"}, WiFi, "wlan0", ""},
		{"wifi of old drivers", heading + wlan600, "", []string{"old wifi"}, WiFi, "wlan0", ""},
		{"a modem, by IPv6 alone", heading, lo6 + rmnet6, []string{"rmnet_data0"}, Cellular, "rmnet_data0", ""},
		{"a modem that looks like ethernet", heading + eth100, "", []string{"wwan"}, Cellular, "eth0", ""},
		{"what is under a tunnel may be anything", heading + eth100, "", []string{"tun"}, 0, "", "eth0 is of no kind"},
		{"or under a bridge", heading + eth100, "", []string{"bridge"}, 0, "", "eth0 is of no kind"},
		{"an interface without files", heading + eth100, "", nil, 0, "", "eth0 is of no kind"},
		{"nothing but loopback", heading, lo6, []string{"lo"}, Loopback, "lo", ""},
		{"no way out", heading + ethLocal + ethReject + ethDown, "", []string{"lo", "eth0"}, 0, "", "no default route"},
		{"a name that is a path", heading + "../../x\t00000000\t0\t0003\t0\t0\t1\t00000000\t0\t0\t0\n", "", []string{"lo", "eth0"}, 0, "", "no default route"},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			files := map[string]string{"proc/net/route": tt.routes, "proc/net/ipv6_route": tt.routes6}
			for _, name := range tt.ifaces {
				files = joinedFiles(files, iface[name])
			}
			s := rigOf(t, device(t, files)).after(0)
			if tt.reason != "" {
				wantUnknown(t, s, LinkKind, tt.reason)
			} else {
				wantValue(t, s, LinkKind, float64(tt.want), tt.from)
			}
			if s.Link() != tt.want {
				t.Errorf("the link is %v; want %v", s.Link(), tt.want)
			}
		})
	}
	wantUnknown(t, rigOf(t, device(t, nil)).after(0), LinkKind, "does not tell its routes")
}

func FuzzRoutes(f *testing.F) {
	f.Add([]byte(heading+eth100+wlan600), []byte(lo6+rmnet6))
	f.Fuzz(func(t *testing.T, four, six []byte) {
		for _, name := range []string{route4(four), route6(six)} {
			if len(name) > 15 || strings.ContainsAny(name, "/\n\x00 ") {
				t.Fatalf("an interface is called %q", name)
			}
		}
	})
}
