package ue

import (
	"context"
	"crypto/tls"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func TestParseHost(t *testing.T) {
	ip := func(s string, port uint16) hostPort { return hostPort{ip: netip.MustParseAddr(s), port: port} }
	good := map[string][]hostPort{
		"127.0.0.1:4433":        {ip("127.0.0.1", 4433)},
		"[::1]:1":               {ip("::1", 1)},
		"[fe80::1%eth0]:65535":  {ip("fe80::1%eth0", 65535)},
		"edge.example:4433":     {{name: "edge.example", port: 4433}},
		"edge_1.local.:4433":    {{name: "edge_1.local.", port: 4433}},
		"a.example:1, [::1]:22": {{name: "a.example", port: 1}, ip("::1", 22)},
	}
	for s, want := range good {
		if got, err := parseHost(s); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %v, %v; want %v", s, got, err, want)
		}
	}
	bad := []struct{ s, says string }{
		{"127.0.0.1", "no port; write 127.0.0.1:4433"},
		{"edge.example", "no port; write edge.example:4433"},
		{"::1", "no port; write [::1]:4433"},
		{"[2001:db8::7]", "no port; write [2001:db8::7]:4433"},
		{"https://edge.example:4433/x", `"https://" is the begin of a URL; write edge.example:4433`},
		{"https://edge.example", "write edge.example:4433"},
		{"udp://[::1]:99", "write [::1]:99"},
		{"://", "write edge.example:4433"},
		{":4433", "no host; write 127.0.0.1:4433, for this machine"},
		{"edge.example:", `port "" is not a number`},
		{"edge.example:0", `port "0" is not a number from 1 to 65535; write edge.example:4433`},
		{"edge.example:65536", `port "65536" is not a number`},
		{"edge.example:https", `port "https" is not a number`},
		{"edge.example:-1", `port "-1" is not a number`},
		{"", `write edge.example:4433`},
		{"edge host:4433", `write edge.example:4433`},
		{"ue@edge.example:4433", `write edge.example:4433`},
		{"edge..example:4433", `write edge.example:4433`},
		{"edge.example:4433/", `port "4433/" is not a number`},
		{"a.example:1,", `"": it is not "host:port"`},
		{"300.0.0.1:4433", `write edge.example:4433`},
		{"127.1:4433", `write edge.example:4433`},
		{"bücher.example:4433", `write edge.example:4433`},
		{strings.Repeat("x", 1000) + ":1", `write edge.example:4433`},
	}
	for _, tt := range bad {
		got, err := parseHost(tt.s)
		if err == nil || !strings.Contains(err.Error(), tt.says) || len(err.Error()) > 400 {
			t.Errorf("%q: got %v, %v; want an error that says %s", tt.s, got, err, tt.says)
		}
	}
}

// An address that can never work is refused at once, and not tried for ever.
func TestMalformedAddresses(t *testing.T) {
	for _, cfg := range []Config{{Edge: "https://edge.example"}, {Edge: "127.0.0.1:1", Others: []string{"127.0.0.1"}}} {
		cfg.TLS = &tls.Config{}
		h, err := Start(context.Background(), cfg)
		if err == nil {
			h.Close()
			t.Errorf("Edge %q, Others %q: no error", cfg.Edge, cfg.Others)
		}
	}
	h, err := Start(context.Background(), Config{TLS: &tls.Config{}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if _, err := h.Target("10.0.0.1").Prepare(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "write 10.0.0.1:4433") {
		t.Errorf("a target without a port gave %v", err)
	}
}
