// Package page is the demo's live page: the annotated picture, where it was
// computed, and four charts as in Figure 3 of paper 001, drawn while the run
// goes on.
//
//	p, err := page.Listen("127.0.0.1:0", page.Info{Model: "yolo-fastest-1.1-xl"})
//	...
//	defer p.Close()
//	p.Frame(frame)
//	if p.Watching() {
//		p.Picture(drawAndEncode(frame))
//	}
//
// Frames go to the browser by Server-Sent Events, pictures as one response
// that never ends, each part replacing the one before. Someone who opens the
// page late gets the frames so far.
//
// The run never waits for a viewer. Frame and Picture store and return; each
// viewer has a goroutine of its own that takes what is there when it is ready,
// the newest picture and all frames since the last. One that reads nothing for
// [stall] is cut off, and its browser comes back by itself.
//
// Where Info.Act is set, the table of edge hosts has buttons. What they ask for is done only when it comes from the page itself, by its
// origin and a token, and only where the page listens on loopback.
//
// The page needs nothing from elsewhere: no script, font or style of others. A
// page that listens on loopback refuses requests for other host names, so that
// a web site cannot reach it through the browser.
package page

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/bungee-xr/bungee/cmd/yolo-demo/internal/report"
)

const (
	// stall is how long a viewer may take nothing.
	stall = 5 * time.Second
	// beat is the least time between two events to a viewer: faster than that
	// a chart moves for nobody, and each costs the UE a system call.
	beat = 100 * time.Millisecond
	// maxFrames bounds the history that a late viewer gets: an hour at 5 FPS,
	// about 5 MB.
	maxFrames = 18000
)

// Info says what is run. It is shown on the page.
type Info struct {
	// Model is the network's name.
	Model string `json:"model"`
	// TempSource is where temperatures are from: "modelled", a sensor's name,
	// or "unknown".
	TempSource string `json:"tempSource"`
	// Video is what is looked at. Empty is fine.
	Video string `json:"video"`
	// Policy names what decides. Empty means toggle.
	Policy string `json:"policy"`
	// Toggle is the number of frames between two moves, with the policy toggle.
	Toggle int `json:"toggle"`
	// Requirements are what is required of a call; Deadline is its latency. 0 means none.
	Requirements string        `json:"requirements"`
	Deadline     report.Number `json:"deadline"` // ms
	// Fidelities are those that frames may have, in words, the best first.
	Fidelities []string `json:"fidelities"`
	// Frames is how many frames the run will have. 0 means not known.
	Frames int `json:"frames"`
	// UECPU is the share of a core that the UE may use. 0 means no limit.
	UECPU float64 `json:"ueCPU"`
	// FPSOffered is the rate at which frames come. 0 means flat out.
	FPSOffered float64 `json:"fpsOffered"`
	// Act does to a host what somebody has pressed a button for. It may be called by many goroutines; its error is shown. Nil means that
	// there are no buttons. Nor are there any on a page that does not listen on loopback.
	Act func(ctx context.Context, host string, a Action) error `json:"-"`
	// Token is what the page's own requests show, and no other site can read. Listen makes it.
	Token string `json:"token,omitempty"`
}

// A Page is served until it is closed. Its methods may be called by many
// goroutines at once.
type Page struct {
	// Set by Listen, then constant.
	info  Info
	act   func(ctx context.Context, host string, a Action) error // nil: nothing can be done
	token string
	url   string
	local bool // listens on loopback
	http  http.Server
	serve sync.WaitGroup // the goroutine that accepts
	quit  chan struct{}  // closed by Close
	once  sync.Once

	mu       sync.Mutex // leaf lock
	closed   bool
	viewers  sync.WaitGroup // handlers that stream; added to only while not closed
	watching int            // handlers that stream pictures
	looking  int            // handlers that stream events
	frames   []point        // the newest maxFrames or so
	dropped  int            // older ones
	summary  *report.Summary
	facts    []Fact
	board    *Board
	boards   int     // how many there were
	events   []Event // the newest maxEvents or so
	lost     int     // older ones
	picture  []byte
	pictures int           // how many there were
	news     chan struct{} // closed when something above changed, and replaced
}

// Listen serves the page at addr, which is "host:port"; port 0 takes a free
// one, and an empty host means loopback.
func Listen(addr string, info Info) (*Page, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("serve the page: %w; want host:port, such as 127.0.0.1:8080", err)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, fmt.Errorf(`serve the page: %w; choose another address with -http, or none with -http ""`, err)
	}
	at, _ := l.Addr().(*net.TCPAddr)
	p := &Page{
		info:  info,
		act:   info.Act,
		url:   "http://" + l.Addr().String() + "/",
		local: at != nil && at.IP.IsLoopback(),
		quit:  make(chan struct{}),
		news:  make(chan struct{}),
	}
	p.info.Token = ""
	if p.mayAct() {
		p.token = rand.Text()
		p.info.Token = p.token
	}
	p.http = http.Server{Handler: p.routes(), ReadHeaderTimeout: stall, IdleTimeout: time.Minute}
	p.serve.Go(func() { _ = p.http.Serve(l) }) // ends with ErrServerClosed
	return p, nil
}

// URL returns where the page is.
func (p *Page) URL() string { return p.url }

// Watching says whether someone looks at the pictures. Where nobody does, none
// need be made. A page in a hidden tab does not look.
func (p *Page) Watching() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.watching > 0
}

// Frame shows what was measured of a frame. Frames come in order.
func (p *Page) Frame(f report.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	if len(p.frames) >= maxFrames {
		// A quarter goes at once, so that a frame costs next to nothing.
		const old = maxFrames / 4
		p.frames = append(p.frames[:0:0], p.frames[old:]...)
		p.dropped += old
	}
	p.frames = append(p.frames, newPoint(&f))
	p.tellLocked()
}

// A Fact is something that is known of the device, the link or the function now.
type Fact struct {
	Name string `json:"name"`
	Text string `json:"text"` // "unknown" is fine
}

// Facts shows what is known now, which belongs to the page from then on.
func (p *Page) Facts(facts []Fact) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.facts = facts // they go with the next frame
}

// Picture shows a picture, a JPEG, which belongs to the page from then on.
func (p *Page) Picture(jpeg []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(jpeg) == 0 {
		return
	}
	p.picture = jpeg
	p.pictures++
	p.tellLocked()
}

// Done shows the summary. The page stays until Close.
func (p *Page) Done(s report.Summary) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.summary = &s
	p.tellLocked()
}

// Close cuts off all viewers and returns when every goroutine of the page has
// ended. It is idempotent.
func (p *Page) Close() error {
	var err error
	p.once.Do(func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		close(p.quit)
		if err = p.http.Close(); errors.Is(err, net.ErrClosed) {
			err = nil
		}
	})
	p.serve.Wait()
	p.viewers.Wait()
	return err
}

// tellLocked wakes the viewers.
func (p *Page) tellLocked() {
	close(p.news)
	p.news = make(chan struct{})
}

// enter counts a viewer in, unless the page is closed; pictures and events say what it
// looks at. The caller calls leave at its end.
func (p *Page) enter(pictures, events int) (leave func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, false
	}
	p.viewers.Add(1)
	p.watching += pictures
	p.looking += events
	return func() {
		p.mu.Lock()
		p.watching -= pictures
		p.looking -= events
		p.mu.Unlock()
		p.viewers.Done()
	}, true
}
