package link_test

import (
	"context"
	"io"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/radio"
)

func TestUrgency(t *testing.T) {
	tests := []struct {
		priority, want int8
		why            string
	}{
		{0, 3, "what a stream has that nothing is set for"},
		{1, 1, "poses before video"},
		{-1, 5, "logs after video"},
		{127, 0, "RFC 9218 knows no less"},
		{-128, 7, "and no more"},
	}
	for _, tt := range tests {
		if got := link.Urgency(tt.priority); got != tt.want {
			t.Errorf("priority %d: urgency %d, want %d: %s", tt.priority, got, tt.want, tt.why)
		}
	}
}

// send has size bytes sent on a stream of its own.
func send(t *testing.T, ue *link.Conn, size int, urgency int8, incremental bool) link.Stream {
	t.Helper()
	st, err := ue.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	st.SetPriority(urgency, incremental)
	go func() {
		st.Write(make([]byte, size))
		st.Close()
	}()
	synctest.Wait() // so that the next one comes after it
	return st
}

// ends reads each stream to its end and says when that was.
func ends(t *testing.T, host *link.Conn, n int) map[int64]time.Duration {
	t.Helper()
	begin := time.Now()
	at := map[int64]time.Duration{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range n {
		st, err := host.Accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			io.Copy(io.Discard, st)
			mu.Lock()
			defer mu.Unlock()
			at[st.Number()] = time.Since(begin)
		})
	}
	wg.Wait()
	return at
}

// Of streams that compete for a link, the urgent ones are through first; frames
// of one urgency follow one another.
func TestPriorities(t *testing.T) {
	connect(t, func(t *testing.T, air *radio.Air, ue, host *link.Conn) {
		air.Set(ueAddr.IP, nil, radio.Faults{Rate: 20e6})
		low := send(t, ue, 500_000, link.Urgency(-1), true)
		video := send(t, ue, 300_000, link.Urgency(0), false)
		next := send(t, ue, 300_000, link.Urgency(0), false)
		pose := send(t, ue, 30_000, link.Urgency(1), false)
		at := ends(t, host, 4)
		when := func(st link.Stream) time.Duration { return at[st.Number()] }
		t.Logf("pose %v, frame %v, next frame %v, log %v", when(pose), when(video), when(next), when(low))
		if !(when(pose) < when(video) && when(video) < when(next) && when(next) < when(low)) {
			t.Error("want pose, frame, next frame, log")
		}
	})
}

// Two frames that are under way at once: one after another and by turns.
func TestFramesOneAfterAnother(t *testing.T) {
	last := map[bool][2]time.Duration{}
	for _, turns := range []bool{false, true} {
		connect(t, func(t *testing.T, air *radio.Air, ue, host *link.Conn) {
			air.Set(ueAddr.IP, nil, radio.Faults{Rate: 20e6})
			a := send(t, ue, 300_000, link.Urgency(0), turns)
			b := send(t, ue, 300_000, link.Urgency(0), turns)
			at := ends(t, host, 2)
			first, second := at[a.Number()], at[b.Number()]
			last[turns] = [2]time.Duration{min(first, second), max(first, second)}
		})
	}
	t.Logf("one after another: %v; by turns: %v", last[false], last[true])
	if last[false][0] > last[true][0]*3/4 || last[false][1] > last[true][1]*11/10 {
		t.Errorf("one after another %v, by turns %v; want the first much sooner and the second no later", last[false], last[true])
	}
}

// One UE may have 1,000 channels and 256 calls at once.
func TestManyStreams(t *testing.T) {
	connectBoth(t, func(t *testing.T, _ *radio.Air, ue, host *link.Conn) {
		const streams = 4096
		base := heap()
		var here, there []link.Stream
		for range streams {
			st, err := ue.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			here = append(here, st)
		}
		atUE := heap() - base
		for _, st := range here {
			st.Write([]byte{1})
			in, err := host.Accept(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			io.ReadFull(in, make([]byte, 1))
			there = append(there, in)
		}
		time.Sleep(time.Second)
		both := heap() - base
		t.Logf("an idle stream costs %d bytes at the UE when opened, %d at both ends when used", atUE/streams, both/streams)
		if limit := 8 << 10; both/streams > int64(limit) {
			t.Errorf("an idle stream costs %d bytes, want at most %d: 1,000 channels on 30 KB each", both/streams, limit)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if st, err := ue.Open(ctx); err == nil {
			t.Errorf("stream %d was opened beyond the bound", st.Number())
		}
		runtime.KeepAlive(here)
		runtime.KeepAlive(there)
	})
}

// heap returns how many bytes are in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Reset ends what is under way in both directions, at both ends. CloseRead ends the
// peer's sending, and its reading goes on.
func TestGivingStreamsUp(t *testing.T) {
	connectBoth(t, func(t *testing.T, _ *radio.Air, ue, host *link.Conn) {
		pair := func() (here, there link.Stream) {
			here, err := ue.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			here.Write([]byte{1})
			if there, err = host.Accept(t.Context()); err != nil {
				t.Fatal(err)
			}
			io.ReadFull(there, make([]byte, 1))
			return here, there
		}
		read := func(st link.Stream) <-chan error {
			ended := make(chan error, 1)
			go func() {
				_, err := st.Read(make([]byte, 1))
				ended <- err
			}()
			return ended
		}
		here, there := pair()
		atUE, atHost := read(here), read(there)
		synctest.Wait()
		here.Reset()
		if err := <-atUE; err == nil || err == io.EOF {
			t.Errorf("read of a stream that was reset: %v, want an error", err)
		}
		if err := <-atHost; err == nil || err == io.EOF {
			t.Errorf("read of a stream that the peer reset: %v, want an error", err)
		}
		<-there.Context().Done()
		if _, err := there.Write([]byte{2}); err == nil {
			t.Error("write to a stream that the peer reset did not fail")
		}

		here, there = pair()
		there.CloseRead()
		there.Write([]byte{2})
		there.Close()
		time.Sleep(time.Second)
		if _, err := here.Write([]byte{1}); err == nil {
			t.Error("write to a peer that reads no more did not fail")
		}
		if b, err := io.ReadAll(here); err != nil || len(b) != 1 {
			t.Errorf("read %x, %v; want what the peer sent after CloseRead", b, err)
		}
	})
}
