//go:build cgo && opencv

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"gocv.io/x/gocv"
)

// How long a lost source is waited for before it is opened again: twice as long each time, until it gives a frame.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 8 * time.Second
)

// liveWait is how long a frame is waited for before the run gives up, reconnections included. A camera that is
// started again takes half a minute.
const liveWait = time.Minute

// errLost says that a live source has given no frame for liveWait.
var errLost = errors.New("no frame came")

// A live source is read all the time, so that the frame which is computed is the newest one. A source that
// ends, or that is lost, is opened again.
type live struct {
	name string
	open func() (*gocv.VideoCapture, error)
	quit chan struct{} // closed by Close
	done sync.WaitGroup

	fresh chan struct{} // one in it where newest has not been taken

	mu     sync.Mutex // leaf
	newest gocv.Mat
	fps    float64
	lost   error // why the last attempt failed; nil while frames come
}

// openLive opens a source, which must be there at the begin.
func openLive(name string, open func() (*gocv.VideoCapture, error)) (source, error) {
	src, err := open()
	if err != nil {
		return nil, fmt.Errorf("%s is not a camera or an address that OpenCV can read: %w", shown(name), err)
	}
	l := &live{name: shown(name), open: open, quit: make(chan struct{}), fresh: make(chan struct{}, 1), newest: gocv.NewMat()}
	l.done.Go(func() { l.run(src) })
	return l, nil
}

// run reads frames, and opens the source again where there are none, until quit is closed.
func (l *live) run(src *gocv.VideoCapture) {
	spare := gocv.NewMat()
	defer func() { spare.Close() }()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		if src != nil {
			if l.drain(src, &spare) > 0 {
				pause = firstPause
			}
			src.Close()
		}
		select {
		case <-l.quit:
			return
		case <-time.After(pause):
		}
		var err error
		if src, err = l.open(); err != nil {
			src = nil
			l.note(err)
		}
	}
}

// drain reads frames until there are none, or quit is closed, and returns how many there were.
func (l *live) drain(src *gocv.VideoCapture, spare *gocv.Mat) (n int) {
	for ; ; n++ {
		select {
		case <-l.quit:
			return n
		default:
		}
		if !src.Read(spare) || spare.Empty() {
			l.note(errors.New("it gives no more frames"))
			return n
		}
		l.mu.Lock()
		l.newest, *spare = *spare, l.newest
		l.fps, l.lost = src.Get(gocv.VideoCaptureFPS), nil
		l.mu.Unlock()
		select {
		case l.fresh <- struct{}{}:
		default: // the one before was not taken, and is no longer the newest
		}
	}
}

func (l *live) note(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = why
}

// next waits for a frame that was not taken, and takes it.
func (l *live) next(ctx context.Context, m *gocv.Mat) error {
	ctx, cancel := context.WithTimeoutCause(ctx, liveWait, fmt.Errorf("%w from %s for %v", errLost, l.name, liveWait))
	defer cancel()
	select {
	case <-l.fresh:
	case <-ctx.Done():
		l.mu.Lock()
		defer l.mu.Unlock()
		return errors.Join(context.Cause(ctx), l.lost)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.newest, *m = *m, l.newest
	return nil
}

func (l *live) again() error { return nil }

func (l *live) told() (fps float64, frames int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fps, 0
}

func (l *live) live() bool { return true }

// Close ends the reading. It waits for the frame that is being read, which OpenCV gives up after 30 s.
func (l *live) Close() {
	close(l.quit)
	l.done.Wait()
	l.newest.Close()
}
