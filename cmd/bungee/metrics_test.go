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

func TestPageOfAName(t *testing.T) {
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	for host, want := range map[string]int{
		"127.0.0.1:9090": http.StatusOK, "[::1]:9090": http.StatusOK, "localhost": http.StatusOK, "192.0.2.1": http.StatusOK,
		"Edge-1.internal:9090": http.StatusOK, "edge-2.internal": http.StatusForbidden, "evil.example:9090": http.StatusForbidden, "": http.StatusForbidden,
	} {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.Host = host
		w := httptest.NewRecorder()
		onlyNamed([]string{"edge-1.internal", ""}, ok).ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("host %q: %d, want %d", host, w.Code, want)
		}
	}
}

// What the host holds is told for the host and for each tenant.
func TestMetricsOfBuffers(t *testing.T) {
	p := startHost(t, "--metrics", "127.0.0.1:0", "--memory-total", "512")
	ready(t, startUE(t, p), &raw(t, "basic", 0, errNative).Desc)
	url := metricsOf(t, p)
	addr := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/metrics")
	var idle []net.Conn
	for range 2 * metricsConns { // they take descriptors for some seconds, and not all
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		idle = append(idle, c)
	}
	io.ReadAll(idle[0]) // until it is sent away
	r, err := http.Get(url)
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
