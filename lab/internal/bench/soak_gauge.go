package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A usage is what a process holds. What is not known is 0: that of a host that does not
// run, and all but the goroutines of the UE where there is no /proc.
type usage struct {
	RSS        float64 `json:"rss_mb"`
	Heap       float64 `json:"heap_mb"`
	Goroutines float64 `json:"goroutines"`
	Files      float64 `json:"descriptors"`
}

// A second is what happened in one, and what was held at its end.
type second struct {
	Chapter     string  `json:"chapter"`
	At          float64 `json:"at_s"` // since the soak's chapter began
	Messages    int     `json:"messages"`
	Checkpoints uint64  `json:"checkpoints"`
	Fallbacks   uint64  `json:"fallbacks"`
	Moves       uint64  `json:"moves"`
	Replayed    uint64  `json:"replayed"`
	Buffered    int     `json:"buffered"`    // messages that a replay would have
	Lateness    float64 `json:"lateness_ms"` // of the latest result, since its message was due
	Gap         float64 `json:"gap_ms"`      // the longest between two results
	UE          usage   `json:"ue"`
	Hosts       []usage `json:"hosts"`
}

// A gauge measures a chapter, second by second, and its gaps.
type gauge struct {
	ch    *channel
	ward  *ward
	start time.Time
	web   *http.Client

	seconds []second // for the one goroutine that calls second
	before  second   // totals so far

	mu      sync.Mutex
	last    time.Time // of the deliveries
	now     second    // under way
	windows map[*window]struct{}
	calm    []time.Duration // the longest gap of each second without a window
	stirred bool            // this second had one
}

// A window is a time whose longest gap is wanted.
type window struct{ longest time.Duration }

// scrapeLimit bounds how long a host may take to tell its metrics: one that stands still
// tells none.
const scrapeLimit = 200 * time.Millisecond

func newGauge(ch *channel, w *ward) *gauge {
	now := time.Now()
	return &gauge{
		ch: ch, ward: w, start: now, last: now, windows: map[*window]struct{}{},
		web: newScraper(),
	}
}

// delivered takes note of a result.
func (g *gauge) delivered(d delivery) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.passLocked(time.Now())
	g.now.Messages++
	g.now.Lateness = max(g.now.Lateness, ms(d.age))
}

// passLocked takes note of the gap that ends now.
func (g *gauge) passLocked(now time.Time) {
	gap := now.Sub(g.last)
	g.last = now
	g.now.Gap = max(g.now.Gap, ms(gap))
	for w := range g.windows {
		w.longest = max(w.longest, gap)
	}
}

// watch opens a window. The gap under way counts.
func (g *gauge) watch() *window {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := &window{}
	g.windows[w] = struct{}{}
	g.stirred = true
	return w
}

// unwatch closes w and returns its longest gap, which may still be under way.
func (g *gauge) unwatch(w *window) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.windows, w)
	return max(w.longest, time.Since(g.last))
}

// second ends a second: it measures, and writes a line to out.
func (g *gauge) second(ctx context.Context, out io.Writer, chapter string) error {
	s := g.take()
	s.Chapter, s.At = chapter, time.Since(g.start).Seconds()
	st := g.ch.Stats()
	total := second{Checkpoints: st.Checkpoints, Fallbacks: st.Fallbacks, Moves: st.Moves, Replayed: st.Replayed}
	s.Checkpoints, s.Fallbacks = total.Checkpoints-g.before.Checkpoints, total.Fallbacks-g.before.Fallbacks
	s.Moves, s.Replayed = total.Moves-g.before.Moves, total.Replayed-g.before.Replayed
	s.Buffered, g.before = st.Buffered, total
	s.UE, s.Hosts = ownUsage(), g.hosts(ctx)
	g.seconds = append(g.seconds, s)
	return json.NewEncoder(out).Encode(s)
}

// take returns the second under way and begins another one.
func (g *gauge) take() second {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.now
	s.Gap = max(s.Gap, ms(time.Since(g.last)))
	g.now = second{}
	if !g.stirred {
		g.calm = append(g.calm, time.Duration(s.Gap*float64(time.Millisecond)))
	}
	g.stirred = len(g.windows) > 0
	return s
}

// most is the largest value of the seconds.
func (g *gauge) most(value func(second) float64) (most float64) {
	for _, s := range g.seconds {
		most = max(most, value(s))
	}
	return most
}

// hosts returns what the hosts hold.
func (g *gauge) hosts(ctx context.Context) []usage {
	all := make([]usage, len(g.ward.patients))
	var wg sync.WaitGroup
	for i, p := range g.ward.patients {
		pid := int(p.pid.Load())
		if pid == 0 {
			continue
		}
		wg.Go(func() {
			all[i] = processUsage(strconv.Itoa(pid))
			scrape(ctx, g.web, p.metrics, &all[i])
		})
	}
	wg.Wait()
	return all
}

// ownUsage is that of this process.
func ownUsage() usage {
	u := processUsage("self")
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	u.Heap, u.Goroutines = float64(heap[0].Value.Uint64())/1e6, float64(runtime.NumGoroutine())
	return u
}

// processUsage is what /proc says of a process.
func processUsage(pid string) (u usage) {
	if b, err := os.ReadFile("/proc/" + pid + "/statm"); err == nil {
		var size, resident float64
		if n, _ := fmt.Sscan(string(b), &size, &resident); n == 2 {
			u.RSS = resident * float64(os.Getpagesize()) / 1e6
		}
	}
	if d, err := os.ReadDir("/proc/" + pid + "/fd"); err == nil {
		u.Files = float64(len(d))
	}
	return u
}

// newScraper returns what scrapes hosts. It leaves no connection behind.
func newScraper() *http.Client {
	return &http.Client{Timeout: scrapeLimit, Transport: &http.Transport{DisableKeepAlives: true}}
}

// scrape adds what the host at addr tells of itself, if it does.
func scrape(ctx context.Context, web *http.Client, addr string, u *usage) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return
	}
	answer, err := web.Do(r)
	if err != nil {
		return
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		v, err := strconv.ParseFloat(value, 64)
		switch {
		case err != nil:
		case name == "go_goroutines":
			u.Goroutines = v
		case name == "go_memstats_heap_alloc_bytes":
			u.Heap = v / 1e6
		}
	}
}

// A resource is one thing that a process holds. A growth up to slack is none: a process
// has a few more of it at one time than at another.
type resource struct {
	name, unit string
	slack      float64
	of         func(usage) float64
}

var resources = []resource{
	{"rss", "MB", 16, func(u usage) float64 { return u.RSS }},
	{"heap", "MB", 16, func(u usage) float64 { return u.Heap }},
	{"goroutines", "goroutines", 16, func(u usage) float64 { return u.Goroutines }},
	{"descriptors", "descriptors", 16, func(u usage) float64 { return u.Files }},
}

// mostGrowth is what the median of the last third of a chapter may be over that of the first
// one, in shares of the latter, beyond the slack.
const mostGrowth = 1.1

// growth makes the figures of what UE and hosts hold at the end over what they hold at the
// beginning: of each the median of a third of the seconds.
func (k *soaking) growth() []Figure {
	var all []Figure
	for _, side := range []struct {
		name string
		of   func(second) []usage
	}{
		{"ue", func(s second) []usage { return []usage{s.UE} }},
		{"hosts", func(s second) []usage { return s.Hosts }},
	} {
		for _, r := range resources {
			if f, ok := growth(k.gauge.seconds, side.of, r); ok {
				f.Case, f.Metric = k.chapter.name, side.name+"_"+r.name+"_growth"
				if k.Quick { // what has just begun grows
					f.Target, f.OK = nil, true
				}
				all = append(all, f)
			}
		}
	}
	return all
}

// growth is that of one resource. ok is false when it is not known.
func growth(seconds []second, of func(second) []usage, r resource) (f Figure, ok bool) {
	third := len(seconds) / 3
	first, last := held(seconds[:third], of, r), held(seconds[len(seconds)-third:], of, r)
	if len(first) == 0 || len(last) == 0 {
		return f, false
	}
	begin, end := quantile(first, 0.5), quantile(last, 0.5)
	f = Figure{Unit: "x", N: len(first) + len(last), Value: end / begin, Beside: map[string]float64{"first_third_" + r.unit: begin, "last_third_" + r.unit: end}}
	f = f.against("<=", mostGrowth)
	f.OK = f.OK || end-begin <= r.slack
	f.Note = fmt.Sprintf("%g %s more are met, too", r.slack, r.unit)
	return f, true
}

// held are the known amounts of a resource.
func held(seconds []second, of func(second) []usage, r resource) (all []float64) {
	for _, s := range seconds {
		for _, u := range of(s) {
			if v := r.of(u); v > 0 {
				all = append(all, v)
			}
		}
	}
	return all
}
