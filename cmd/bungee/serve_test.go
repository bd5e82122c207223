package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// metricsOf returns the URL of p's metrics.
func metricsOf(t *testing.T, p *process) string {
	t.Helper()
	at := regexp.MustCompile(`msg=metrics at=(\S+)`)
	var url []string
	await(t, "the log to name the metrics", func() bool { // what it says comes through a pipe
		url = at.FindStringSubmatch(p.log.String())
		return url != nil
	})
	return url[1]
}

// TestMetricsNames has the metrics answer to addresses and to names that the operator gave, and not to
// the name of a site that was made to point here.
func TestMetricsNames(t *testing.T) {
	p := startHost(t, "--metrics", "127.0.0.1:0", "--metrics-name", "edge-1.acme.example")
	url := metricsOf(t, p)
	_, port, _ := strings.Cut(strings.TrimPrefix(url, "http://"), ":")
	port, _, _ = strings.Cut(port, "/")
	for host, want := range map[string]int{
		"127.0.0.1:" + port: 200, "[::1]:" + port: 200, "localhost": 200, "LOCALHOST:" + port: 200, "192.0.2.7": 200,
		"edge-1.acme.example:" + port: 200, "EDGE-1.acme.example": 200,
		"attacker.example": 403, "attacker.example:" + port: 403, "127.0.0.1.attacker.example": 403, "localhost.attacker.example": 403,
	} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want || strings.Contains(string(body), "bungee_handshake") != (want == 200) {
			t.Errorf("Host %q: status %d with %.100q; want %d", host, resp.StatusCode, body, want)
		}
	}
}

// TestMetricsAreBounded has clients that connect and say nothing: no more than a few are accepted, and
// they are sent away, so that a later one is answered.
func TestMetricsAreBounded(t *testing.T) {
	p := startHost(t, "--metrics", "127.0.0.1:0")
	url := metricsOf(t, p)
	addr, _, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	for range 3 * metricsConns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	resp, err := http.Get(url) // answered once those before it have timed out
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	var open int
	if _, rest, ok := strings.Cut(string(body), "\nprocess_open_fds "); ok {
		fmt.Sscan(rest, &open)
	}
	if err != nil || open == 0 || open > 2*metricsConns+20 {
		t.Errorf("with %d clients that say nothing the host has %d files open, %v", 3*metricsConns, open, err)
	}
}
