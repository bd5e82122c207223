package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/native"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
)

// get returns the status and the body of a page.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// fixed is an identity that is never read again.
type fixed struct{ conf *tls.Config }

func (f fixed) Ends() time.Time { return identity.Ends(f.conf) }
func (fixed) Fault() error      { return nil }

// ask returns a page of h.
func (m monitored) ask(page string) (int, string) {
	w := httptest.NewRecorder()
	m.pages().ServeHTTP(w, httptest.NewRequest("GET", page, nil))
	return w.Code, w.Body.String()
}

// A host lives from the start, and is ready while it accepts: not before, and not while it drains.
func TestHealth(t *testing.T) {
	ca, err := identity.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	conf, err := ca.TLS(identity.Host, "host")
	if err != nil {
		t.Fatal(err)
	}
	h, err := host.New(host.Config{Engine: native.Engine{}, TLS: conf})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	m := monitored{h, fixed{conf}, &reloader{}}
	is := func(when string, want int) {
		t.Helper()
		if code, body := m.ask("/readyz"); code != want {
			t.Errorf("ready %s: %d, %s; want %d", when, code, body, want)
		}
		if code, _ := m.ask("/healthz"); code != http.StatusOK {
			t.Errorf("health %s: %d, want 200", when, code)
		}
	}
	is("before it listens", http.StatusServiceUnavailable)
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- h.Serve(context.Background(), pc) }()
	ue, err := ca.TLS(identity.UE, "ue")
	if err != nil {
		t.Fatal(err)
	}
	own, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, err := link.Dial(t.Context(), own, pc.LocalAddr(), ue)
	if err != nil {
		t.Fatal(err)
	}
	<-c.Confirmed()
	is("while it serves", http.StatusOK)
	ctx, cancel := context.WithCancel(t.Context())
	drained := make(chan error, 1)
	await(t, "the connection to be counted", func() bool { return len(h.Tenants()) == 1 })
	go func() { drained <- h.Shutdown(ctx) }()
	await(t, "the drain", func() bool { return h.Ready() != nil })
	is("while it drains", http.StatusServiceUnavailable)
	cancel()
	<-drained
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	is("when it has ended", http.StatusServiceUnavailable)
}

// thousand are the tenants of a host that has many, with large numbers and names that are as long as they
// may be together.
func thousand() []host.TenantStats {
	all := make([]host.TenantStats, 1001)
	for i := range all {
		all[i] = host.TenantStats{
			Name: fmt.Sprintf("acme-%011d", i), Sessions: 12, Channels: 345, Waiting: 12,
			Holding: executor.Holding{Instances: 345, Memory: 345 << 20, Modules: 12},
			Bill: executor.Bill{
				Calls: 123456789 + uint64(i), Failed: 12345, BytesIn: 1 << 42, BytesOut: 1<<42 + 12345, HostCalls: 1234567, MemoryPeak: 123 << 20,
				CPU: 123456*time.Second + 123456789, HostTime: 1234 * time.Second, MemorySeconds: 1.2345678e12,
			},
			Network: host.NetworkStats{Connections: 12, RTT: 12345678, Jitter: 1234567, PacketsSent: 1 << 32, PacketsLost: 1 << 20, BytesSent: 1 << 42, BytesReceived: 1 << 42, Delivered: 1<<42 - 1},
			Memory:  host.MemoryStats{Most: 1 << 30, Held: 123456789, Waiting: 12, TooMuch: 1234},
		}
	}
	return all
}

// Monitoring sees that a copy of a certificate went wrong, and that it was mended.
func TestPageTellsOfUnusableCertificates(t *testing.T) {
	p := startHost(t, "--metrics", "127.0.0.1:0")
	file := filepath.Join(p.certs, "host.pem")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		text []byte
		want string
	}{{good, "1"}, {good[:len(good)/2], "0"}, {good, "1"}} {
		rewrite(t, file, string(step.text))
		await(t, "the page to tell of the files", func() bool {
			return strings.Contains(scrape(t, p), "bungee_certificate_last_read_successful "+step.want+"\n")
		})
	}
}

// A page of a thousand tenants is small. How long it takes is printed: what it may take is a benchmark's to
// say.
func TestPageOfAThousandTenants(t *testing.T) {
	page := metricsPage(tenantMetrics(thousand))
	w := httptest.NewRecorder()
	page.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil)) // the first one makes what later ones have
	w = httptest.NewRecorder()
	begin := time.Now()
	page.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	t.Logf("%d bytes in %v", w.Body.Len(), time.Since(begin))
	if n := strings.Count(w.Body.String(), "{tenant="); n != 1001*len(tenantMetricList) {
		t.Errorf("%d series, want one for each of 1,001 tenants and %d metrics", n, len(tenantMetricList))
	}
	if w.Body.Len() > 2e6 {
		t.Errorf("a page of %d bytes, want 2 MB at most", w.Body.Len())
	}
}

func BenchmarkPageOfAThousandTenants(b *testing.B) {
	page := metricsPage(tenantMetrics(thousand))
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		page.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		b.ReportMetric(float64(w.Body.Len()), "page-bytes")
	}
}

// The page of an idle host has all of our series, by the conventions of Prometheus ("promtool check metrics"
// says what this library does), and docs/metrics.md has each with its type and its labels.
func TestIdlePage(t *testing.T) {
	p := startHost(t, "--metrics", "127.0.0.1:0")
	page := scrape(t, p)
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
	told := map[string]string{} // the type
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (bungee_\w+) (\w+)$`).FindAllStringSubmatch(page, -1) {
		told[m[1]] = m[2]
	}
	for name, kind := range told {
		if kind == "histogram" {
			name += "_bucket"
		}
		if !regexp.MustCompile(`(?m)^` + name + `(\{.*\})? `).MatchString(page) {
			t.Errorf("%s has no series", name)
		}
	}
	docs, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(bungee_\\w+)` \\| (\\w+) \\| (.*?) \\|").FindAllStringSubmatch(string(docs), -1) {
		if strings.HasPrefix(m[1], "bungee_manager_") {
			continue // TestManagerPages looks at them
		}
		rows[m[1]] = m[2]
		labels := regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(m[3], -1)
		series := regexp.MustCompile(`(?m)^` + m[1] + `(?:_bucket)?(?:\{(.*)\})? `).FindStringSubmatch(page)
		if series == nil {
			continue
		}
		var has []string
		for _, l := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(series[1], -1) {
			if l[1] != "le" {
				has = append(has, l[1])
			}
		}
		var want []string
		for _, l := range labels {
			want = append(want, l[1])
		}
		slices.Sort(want)
		slices.Sort(has)
		if !slices.Equal(has, want) {
			t.Errorf("%s has the labels %v; docs/metrics.md says %v", m[1], has, want)
		}
	}
	for name, kind := range told {
		if rows[name] != kind {
			t.Errorf("docs/metrics.md has %s as %q, and it is a %s", name, rows[name], kind)
		}
	}
	for name := range rows {
		if told[name] == "" {
			t.Errorf("docs/metrics.md has %s, and the page has not", name)
		}
	}
	for _, want := range []string{`bungee_calls_total{tenant="other"} 0`, `bungee_refusals_total{code="overloaded"} 0`, `bungee_build_info{`, `protocol="bungee`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	leaf, err := identity.Load(p.certs, identity.Host)
	if err != nil {
		t.Fatal(err)
	}
	cert := identity.Leaf(leaf)
	if want := fmt.Sprintf("bungee_certificate_expiry_timestamp_seconds %g\n", float64(cert.NotAfter.Unix())); !strings.Contains(page, want) {
		t.Errorf("the page lacks %s", want)
	}
	base := strings.TrimSuffix(metricsOf(t, p), "/metrics")
	for _, page := range []string{"/healthz", "/readyz"} {
		if code, body := get(t, base+page); code != http.StatusOK || body != "ok\n" {
			t.Errorf("%s: %d, %q; want 200 and ok", page, code, body)
		}
	}
}

// Calls and compilations show in the histograms.
func TestTimesAreTold(t *testing.T) {
	p := startHost(t, "--metrics", "127.0.0.1:0")
	h := startUE(t, p)
	echo := raw(t, "basic", 0, errNative)
	ready(t, h, &echo.Desc)
	for range 3 {
		if _, err := echo.Call(t.Context(), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	page := scrape(t, p)
	for _, want := range []string{
		`bungee_call_duration_seconds_count{kind="call"} 3`, `bungee_call_duration_seconds_bucket{kind="call",le="+Inf"} 3`,
		`bungee_call_queue_duration_seconds_count{kind="call"} 3`, `bungee_call_duration_seconds_count{kind="message"} 0`, `bungee_compile_duration_seconds_count 1`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s:\n%s", want, page)
		}
	}
}
