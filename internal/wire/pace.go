package wire

import (
	"bufio"
	"io"
	"time"
)

// A peer must send readStep bytes of a frame, and take writeStep, within FrameTimeout: 100
// and 420 kbit/s. So one that stops in the middle of a frame holds it for FrameTimeout and
// no longer, and one that is slow has BulkTimeout for the whole. A video frame goes out in
// one step: each one costs a switch of goroutines.
const (
	readStep  = 64 << 10
	writeStep = 256 << 10
)

// pace returns when the next step of a frame that began at begin must be done.
func pace(begin, now time.Time) time.Time {
	step, whole := now.Add(FrameTimeout), begin.Add(BulkTimeout)
	if step.After(whole) {
		return whole
	}
	return step
}

// ReadPaced fills b from r, which reads from st. It sets deadlines of st: each step of 64 KiB
// must come within FrameTimeout, and the whole within BulkTimeout. Bytes that r has already
// cost no deadline.
func ReadPaced(r io.Reader, st interface{ SetReadDeadline(time.Time) error }, b []byte) error {
	if buf, ok := r.(*bufio.Reader); ok && buf.Buffered() >= len(b) {
		_, err := io.ReadFull(r, b)
		return err
	}
	begin := time.Now()
	for now := begin; len(b) > 0; now = time.Now() {
		st.SetReadDeadline(pace(begin, now))
		n, err := io.ReadFull(r, b[:min(readStep, len(b))])
		if err != nil {
			return midFrame(err)
		}
		b = b[n:]
	}
	return nil
}

// SkipPaced reads n bytes from r, which reads from st, and keeps none, at the pace of ReadPaced.
func SkipPaced(r io.Reader, st interface{ SetReadDeadline(time.Time) error }, n int) error {
	begin := time.Now()
	for now := begin; n > 0; now = time.Now() {
		st.SetReadDeadline(pace(begin, now))
		step, err := io.CopyN(io.Discard, r, int64(min(readStep, n)))
		if err != nil {
			return midFrame(err)
		}
		n -= int(step)
	}
	return nil
}

// WritePaced writes b to st. It sets deadlines of st: each step of 256 KiB must be taken
// within FrameTimeout, and the whole within BulkTimeout.
func WritePaced(st interface {
	io.Writer
	SetWriteDeadline(time.Time) error
}, b []byte) error {
	begin := time.Now()
	for now := begin; ; now = time.Now() {
		st.SetWriteDeadline(pace(begin, now))
		n, err := st.Write(b[:min(writeStep, len(b))])
		if err != nil {
			return err
		}
		if b = b[n:]; len(b) == 0 {
			return nil
		}
	}
}
