package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/bungee-xr/bungee/handler/ue"
	"github.com/bungee-xr/bungee/lab/internal/bench/marked"
)

// A Caller is a UE in a process of its own that calls a marked function again and again,
// and prints a line for each call.
type Caller struct {
	Certs  string // folder that identity.Write wrote
	Edge   string // address of the edge host
	Size   int    // bytes of a request
	Every  time.Duration
	Starts int // after each first answer but the last the UE ends and starts again; 0 means 1
}

// A call is what a Caller says of one.
type call struct {
	At        time.Time // when it was made
	Since     float64   // ms since the UE's start, at its end
	Took      float64   // ms
	Edge      bool      // the edge host has answered it
	First     bool      // the first such one of this start
	Transport string    `json:",omitempty"` // of the session with the host
	Why       string    `json:",omitempty"` // it ran on the UE
}

// Run calls until ctx ends, and prints to out.
func (c Caller) Run(ctx context.Context, out io.Writer) error {
	for left := max(c.Starts, 1); left > 0 && ctx.Err() == nil; left-- {
		if err := c.start(ctx, json.NewEncoder(out), left == 1); err != nil {
			return err
		}
	}
	return nil
}

// start starts a UE and calls: until the first answer of the edge host, or, with last, until
// ctx ends.
func (c Caller) start(ctx context.Context, out *json.Encoder, last bool) error {
	conf, err := ue.LoadTLS(c.Certs)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	if os.Getenv("BUNGEE_VERBOSE") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	begin := time.Now()
	h, err := ue.Start(ctx, ue.Config{Edge: c.Edge, TLS: conf, Logger: log})
	if err != nil {
		return err
	}
	defer h.Close()
	request := make([]byte, c.Size)
	for answered := false; ctx.Err() == nil; {
		got := call{At: time.Now()}
		before := h.Stats()
		if _, err := marked.Exchange(ctx, request); ctx.Err() != nil {
			return nil
		} else if err != nil {
			return fmt.Errorf("a call failed, and did not fall back: %w", err)
		}
		after := h.Stats()
		got.Took, got.Since, got.Edge = ms(time.Since(got.At)), ms(time.Since(begin)), after.Edge > before.Edge
		got.First = got.Edge && !answered
		for _, l := range after.Links {
			got.Transport = l.Transport
		}
		got.Why = strings.Join(slices.Sorted(maps.Keys(after.Reasons)), "; ")
		answered = answered || got.Edge
		if err := out.Encode(got); err != nil {
			return nil // the reader has ended
		}
		if got.First && !last {
			return nil
		}
		pause := c.Every - time.Since(got.At)
		if !answered {
			pause = time.Millisecond // the first answer is what is measured
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return nil
}

// next reads what the UE says of its next call.
func (v *visit) next() (got call, err error) {
	line, err := v.ue.line()
	if err != nil {
		return got, err
	}
	return got, json.Unmarshal([]byte(line), &got)
}
