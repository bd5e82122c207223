package page

import (
	"embed"
	"encoding/json"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/report"
)

//go:embed static
var static embed.FS

// routes returns the page's handler.
func (p *Page) routes() http.Handler {
	files, err := fs.Sub(static, "static")
	if err != nil {
		panic(err) // the name above is a constant
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /events", p.serveEvents)
	mux.HandleFunc("GET /picture", p.servePictures)
	mux.HandleFunc("GET /still", p.serveStill)
	mux.HandleFunc("POST /act", p.serveAct)
	return p.guard(mux)
}

// policy lets the page load its own files and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// guard sets the headers that keep the page to itself.
func (p *Page) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.local && !isLoopback(r.Host) {
			http.Error(w, "this page answers to localhost only", http.StatusForbidden)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// isLoopback says whether a request's host, with or without a port, is this
// machine by one of its own names.
func isLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return ip != nil && ip.IsLoopback()
}

// A batch is one event: the frames that a viewer does not have yet.
type batch struct {
	Info    *Info           `json:"info,omitempty"` // in the first
	Frames  []point         `json:"frames,omitempty"`
	Summary *report.Summary `json:"summary,omitempty"`
	Facts   []Fact          `json:"facts,omitempty"`
	Board   *Board          `json:"board,omitempty"`
	Events  []Event         `json:"events,omitempty"`
	// Rows and Notes are the summary as the terminal has it.
	Rows  []report.Row `json:"rows,omitempty"`
	Notes []string     `json:"notes,omitempty"`
}

// seen is what a viewer has.
type seen struct {
	frames, boards, events int
	summary                bool
}

// since returns what a viewer has not seen, and what tells of more.
func (p *Page) since(s seen) (b batch, now seen, news <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now = seen{p.dropped + len(p.frames), p.boards, p.lost + len(p.events), s.summary || p.summary != nil}
	b.Frames = append(b.Frames, p.frames[max(s.frames-p.dropped, 0):]...)
	b.Events = append(b.Events, p.events[max(s.events-p.lost, 0):]...)
	b.Facts = p.facts
	if now.boards > s.boards {
		b.Board = p.board
	}
	if now.summary && !s.summary {
		b.Summary, b.Rows, b.Notes = p.summary, p.summary.Rows(), p.summary.Notes()
	}
	return b, now, p.news
}

// serveEvents sends the frames so far and then those that come, as one event
// each beat.
func (p *Page) serveEvents(w http.ResponseWriter, r *http.Request) {
	leave, ok := p.enter(0, 1)
	if !ok {
		return
	}
	defer leave()
	w.Header().Set("Content-Type", "text/event-stream")
	send := &stream{w: w, ctl: http.NewResponseController(w)}
	tick := time.NewTicker(beat)
	defer tick.Stop()
	var has seen
	for first := true; ; first = false {
		b, now, news := p.since(has)
		if first {
			b.Info = &p.info
		}
		if first || now != has {
			if !send.event(b) {
				return
			}
			has = now
		}
		if !wait(p, r, news) || !wait(p, r, tick.C) {
			return
		}
	}
}

// stream writes to a viewer that may be slow, but not for ever.
type stream struct {
	w   http.ResponseWriter
	ctl *http.ResponseController
}

// event sends v, and says whether the viewer took it.
func (s *stream) event(v batch) bool {
	b, err := json.Marshal(v)
	if err != nil {
		return false
	}
	return s.write([]byte("data: "), b, []byte("\n\n"))
}

func (s *stream) write(parts ...[]byte) bool {
	if s.ctl.SetWriteDeadline(time.Now().Add(stall)) != nil {
		return false
	}
	for _, part := range parts {
		if _, err := s.w.Write(part); err != nil {
			return false
		}
	}
	return s.ctl.Flush() == nil
}

// servePictures sends the newest picture whenever one has come and the viewer
// is ready for it.
func (p *Page) servePictures(w http.ResponseWriter, r *http.Request) {
	leave, ok := p.enter(1, 0)
	if !ok {
		return
	}
	defer leave()
	w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary="+boundary)
	send := &stream{w: w, ctl: http.NewResponseController(w)}
	if !send.write([]byte(partHead)) {
		return
	}
	for seen := 0; ; {
		jpeg, now, news := p.newest()
		if now > seen {
			seen = now
			if !send.write(jpeg, []byte("\r\n"+partHead)) {
				return
			}
		}
		if !wait(p, r, news) {
			return
		}
	}
}

const boundary = "bungee-picture"

// partHead begins a part. It follows right behind the picture before: Chromium
// shows a picture when it has seen the next one's header.
const partHead = "--" + boundary + "\r\nContent-Type: image/jpeg\r\n\r\n"

// serveStill sends the newest picture only, for the end of a run.
func (p *Page) serveStill(w http.ResponseWriter, r *http.Request) {
	jpeg, _, _ := p.newest()
	if jpeg == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "image/jpeg")
	_, _ = w.Write(jpeg) // a viewer who has left needs none
}

// newest returns the last picture, its number, and what tells of more.
func (p *Page) newest() (jpeg []byte, now int, news <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.picture, p.pictures, p.news
}

// wait waits for c, and says whether it came before the viewer left and the
// page was closed.
func wait[T any](p *Page, r *http.Request, c <-chan T) bool {
	// What is waited for, the viewer's end, the page's end.
	select {
	case <-c:
		return true
	case <-r.Context().Done():
	case <-p.quit:
	}
	return false
}
