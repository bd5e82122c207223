package page

import (
	"bufio"
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"math"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/head"
	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func listen(t *testing.T, info Info) *Page {
	t.Helper()
	p, err := Listen("127.0.0.1:0", info)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return p
}

// frame returns a made-up frame: 50 local, 50 at the edge, and so on.
func frame(n int) report.Frame {
	f := report.Frame{Number: n, Where: report.UE, Latency: 36 * time.Millisecond, Compute: 33 * time.Millisecond,
		FPS: 7.1 + math.Sin(float64(n)/5)/3, CPU: 0.24, CPUTime: 35 * time.Millisecond, Period: 140 * time.Millisecond,
		Temp: 50 + 6*math.Sin(float64(n)/30), Boxes: make([]head.Box, 5)}
	if n/50%2 == 1 {
		f.Where, f.Host = report.Edge, "edge-1"
		f.Why = "it is turn 1"
		f.Latency, f.Compute = 24*time.Millisecond, 18*time.Millisecond
		f.FPS, f.CPU, f.CPUTime, f.Period = 41+math.Cos(float64(n)/3), 0.14, 3400*time.Microsecond, 24*time.Millisecond
		f.BytesUp, f.BytesDown = 50000+n%7*500, 420
	}
	return f
}

// picture returns a JPEG of a street, of sorts.
func picture(t *testing.T, n int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 640, 480))
	for y := range 480 {
		for x := range 640 {
			c := color.RGBA{uint8(60 + y/6), uint8(80 + y/5), uint8(110 + x/10), 255}
			if x > 200+n%100 && x < 330+n%100 && y > 180 && y < 400 {
				c = color.RGBA{220, 120, 40, 255}
			}
			img.SetRGBA(x, y, c)
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// get opens a stream of the page.
func get(t *testing.T, p *Page, path string) *http.Response {
	t.Helper()
	resp, err := http.Get(p.URL() + path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// events returns a function that waits for the next event.
func events(t *testing.T, p *Page) func() batch {
	t.Helper()
	lines := bufio.NewScanner(get(t, p, "events").Body)
	lines.Buffer(nil, 1<<24)
	return func() batch {
		t.Helper()
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				var b batch
				if err := json.Unmarshal([]byte(data), &b); err != nil {
					t.Fatalf("event %q: %v", data, err)
				}
				return b
			}
		}
		t.Fatalf("the events end: %v", lines.Err())
		return batch{}
	}
}

func TestALateViewerGetsAllFramesOnce(t *testing.T) {
	p := listen(t, Info{Model: "m", TempSource: "modelled"})
	for n := range 120 {
		p.Frame(frame(n))
	}
	next := events(t, p)
	b := next()
	if b.Info == nil || b.Info.Model != "m" || b.Info.TempSource != "modelled" {
		t.Errorf("first event has info %+v; want model m, temperature modelled", b.Info)
	}
	got := b.Frames
	for n := 120; n < 130; n++ {
		p.Frame(frame(n))
	}
	p.Done(report.Summarize(&report.Run{Model: "m"}))
	for b.Summary == nil {
		b = next()
		got = append(got, b.Frames...)
		if b.Info != nil {
			t.Error("info comes twice; the page would start anew")
		}
	}
	if len(got) != 130 {
		t.Fatalf("%d frames; want 130", len(got))
	}
	for n, f := range got {
		if f.Number != n {
			t.Fatalf("frame %d has number %d; want each once and in order", n, f.Number)
		}
	}
	if len(b.Rows) == 0 || len(b.Notes) == 0 {
		t.Errorf("summary comes with %d rows and %d notes; want some", len(b.Rows), len(b.Notes))
	}
}

func TestPicturesOnlyWhileSomeoneWatches(t *testing.T) {
	p := listen(t, Info{})
	if p.Watching() {
		t.Error("watching before anyone came")
	}
	p.Picture(picture(t, 0))
	resp := get(t, p, "picture")
	kind, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/x-mixed-replace" {
		t.Fatalf("content type %q, %v; want multipart/x-mixed-replace", resp.Header.Get("Content-Type"), err)
	}
	if !p.Watching() {
		t.Error("not watching while a picture is read")
	}
	parts := multipart.NewReader(resp.Body, params["boundary"])
	for n := range 3 {
		if n > 0 {
			p.Picture(picture(t, n))
		}
		part, err := parts.NextRawPart()
		if err != nil || part.Header.Get("Content-Type") != "image/jpeg" {
			t.Fatalf("part %d is %q, %v; want image/jpeg", n, part.Header, err)
		}
		got, err := io.ReadAll(part)
		if err != nil || !bytes.Equal(got, picture(t, n)) {
			t.Fatalf("part %d has %d bytes, %v; want picture %d", n, len(got), err, n)
		}
	}
	_ = resp.Body.Close()
	for p.Watching() { // the server learns of it when it next writes or reads
		p.Picture(picture(t, 0))
	}
}

func TestStill(t *testing.T) {
	p := listen(t, Info{})
	if got := get(t, p, "still").StatusCode; got != http.StatusNotFound {
		t.Errorf("status %d before any picture; want 404", got)
	}
	p.Picture(picture(t, 1))
	got, err := io.ReadAll(get(t, p, "still").Body)
	if err != nil || !bytes.Equal(got, picture(t, 1)) {
		t.Errorf("still has %d bytes, %v; want the newest picture", len(got), err)
	}
	if p.Watching() {
		t.Error("a still counts as watching; want not")
	}
}

// A viewer that takes nothing does not hold the run back, and gets the newest
// picture, not all of them.
func TestASlowViewerHoldsNothingBack(t *testing.T) {
	p := listen(t, Info{})
	for _, path := range []string{"events", "picture"} {
		c, err := net.Dial("tcp", strings.Trim(strings.TrimPrefix(p.URL(), "http://"), "/"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET /"+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	for !p.Watching() {
		p.Frame(frame(0))
	}
	big := make([]byte, 1<<20)
	for n := range 3000 { // 3 GB, if it were kept
		p.Frame(frame(n))
		p.Picture(big)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	p := listen(t, Info{})
	for n := range maxFrames * 2 {
		p.Frame(frame(n))
	}
	b, at, _ := p.since(seen{})
	now := at.frames
	if len(b.Frames) > maxFrames || len(b.Frames) < maxFrames/2 {
		t.Errorf("history has %d frames; want %d to %d", len(b.Frames), maxFrames/2, maxFrames)
	}
	if last := b.Frames[len(b.Frames)-1].Number; now != maxFrames*2 || last != now-1 {
		t.Errorf("after %d frames the count is %d and the last %d", maxFrames*2, now, last)
	}
	if b, _, _ := p.since(seen{frames: now - 3}); len(b.Frames) != 3 {
		t.Errorf("someone who has all but 3 frames gets %d; want 3", len(b.Frames))
	}
}

func TestOnlyForThisMachine(t *testing.T) {
	p := listen(t, Info{})
	tests := []struct {
		name, why string
		method    string
		host      string
		want      int
	}{
		{"by address", "what URL gives", "GET", "127.0.0.1:1", http.StatusOK},
		{"by name", "what a person types", "GET", "localhost:8080", http.StatusOK},
		{"without port", "a browser leaves out 80", "GET", "localhost", http.StatusOK},
		{"IPv6", "loopback as well", "GET", "[::1]:1", http.StatusOK},
		{"rebound name", "a web site whose name points to 127.0.0.1 must not read the camera", "GET", "evil.example:80", http.StatusForbidden},
		{"look-alike", "a suffix is not the name", "GET", "localhost.evil.example", http.StatusForbidden},
		{"post", "the page itself is only read", "POST", "localhost", http.StatusMethodNotAllowed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), tt.method, p.URL(), nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = tt.host
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != tt.want {
				t.Errorf("%s as %q gives %d; want %d: %s", tt.method, tt.host, resp.StatusCode, tt.want, tt.why)
			}
		})
	}
}

func TestNothingFromElsewhere(t *testing.T) {
	p := listen(t, Info{})
	for _, name := range []string{"", "style.css", "chart.js", "edge.js", "page.js", "icon.svg"} {
		resp := get(t, p, name)
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%q: status %d, %v", name, resp.StatusCode, err)
		}
		body := strings.ReplaceAll(string(text), "http://www.w3.org/2000/svg", "")
		if i := strings.Index(body, "//"); strings.Contains(body, "://") || i > 0 && strings.HasPrefix(body[i-1:], `"//`) {
			t.Errorf("%q names another site", name)
		}
		if csp := resp.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") {
			t.Errorf("%q has policy %q; want default-src 'none'", name, csp)
		}
	}
}

func TestListenErrors(t *testing.T) {
	p := listen(t, Info{})
	taken := strings.Trim(strings.TrimPrefix(p.URL(), "http://"), "/")
	for addr, want := range map[string]string{"nonsense": "host:port", taken: "-http"} {
		if q, err := Listen(addr, Info{}); err == nil {
			_ = q.Close()
			t.Errorf("Listen(%q) works; want an error", addr)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("Listen(%q): %q; want %q in it", addr, err, want)
		}
	}
}

func TestEmptyHostIsLoopback(t *testing.T) {
	p, err := Listen(":0", Info{})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(p.URL(), "http://127.0.0.1:") {
		t.Errorf("URL is %s; want loopback", p.URL())
	}
	for range 2 { // Close is idempotent
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	p.Frame(frame(0)) // nothing happens after Close
	p.Picture([]byte{1})
	p.Done(report.Summary{})
	if p.Watching() {
		t.Error("watching after Close")
	}
}

func TestCloseEndsViewers(t *testing.T) {
	p := listen(t, Info{})
	next := events(t, p)
	next()
	pictures := get(t, p, "picture")
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	_, _ = io.Copy(io.Discard, pictures.Body) // returns, or the test hangs
	if p.Watching() {
		t.Error("watching after Close")
	}
}

func BenchmarkFrame(b *testing.B) {
	p, err := Listen("127.0.0.1:0", Info{})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	f := frame(1)
	b.ReportAllocs()
	for b.Loop() {
		p.Frame(f)
	}
}
