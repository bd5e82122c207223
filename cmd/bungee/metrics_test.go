package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func TestPageOfALoopbackAddress(t *testing.T) {
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	for _, tt := range []struct {
		host     string
		loopback bool
		want     int
	}{
		{"127.0.0.1:9090", true, http.StatusOK},
		{"[::1]:9090", true, http.StatusOK},
		{"localhost", true, http.StatusOK},
		{"evil.example:9090", true, http.StatusForbidden},
		{"192.0.2.1", true, http.StatusForbidden},
		{"", true, http.StatusForbidden},
		{"edge-1.internal:9090", false, http.StatusOK},
	} {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.Host = tt.host
		w := httptest.NewRecorder()
		fromHere(tt.loopback, ok).ServeHTTP(w, r)
		if w.Code != tt.want {
			t.Errorf("host %q, loopback %v: %d, want %d", tt.host, tt.loopback, w.Code, tt.want)
		}
	}
	if !isLoopback(&net.TCPAddr{IP: net.IPv6loopback}) || isLoopback(&net.TCPAddr{IP: net.IPv4zero}) || isLoopback(&net.UDPAddr{}) {
		t.Error("a loopback address is not known")
	}
}

// What the host holds is told for the host and for each tenant.
func TestMetricsOfBuffers(t *testing.T) {
	p := startHost(t, "--metrics", "127.0.0.1:0", "--memory-total", "512")
	ready(t, startUE(t, p), &raw(t, "basic", 0, errNative).Desc)
	url := regexp.MustCompile(`msg=metrics at=(\S+)`).FindStringSubmatch(p.log.String())
	if url == nil {
		t.Fatal("the log names no metrics")
	}
	addr := strings.TrimSuffix(strings.TrimPrefix(url[1], "http://"), "/metrics")
	var idle []net.Conn
	for range 2 * metricsClients { // they take descriptors for some seconds, and not all
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		idle = append(idle, c)
	}
	io.ReadAll(idle[0]) // until it is sent away
	r, err := http.Get(url[1])
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"bungee_host_buffers_limit_bytes 2.68435456e\\+08\n", "bungee_host_buffers_held_bytes [1-9]", "bungee_host_buffers_peak_bytes [1-9]",
		`bungee_host_refused_total{code="overloaded",reason="late"} 0`, `bungee_buffers_held_bytes{tenant="ue"} [1-9]`,
		`bungee_buffers_waiting{tenant="ue"} 0`, `bungee_refused_total{tenant="ue"} 0`,
	} {
		if !regexp.MustCompile(want).Match(b) {
			t.Errorf("metrics lack %s:\n%s", want, b)
		}
	}
}
