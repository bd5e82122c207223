package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// A host that compiles for a minute is waited for, and what is missing is told; one that refuses is not.
func TestReadyTellsAndWaits(t *testing.T) {
	refused := errors.New("the edge host refused the module")
	for _, tt := range []struct {
		why     string
		takes   time.Duration // until prepare has its answer
		answer  error
		patient time.Duration // until the context ends
		want    error
		told    int
	}{
		{"a slow host", 59 * time.Second, nil, time.Hour, nil, 19},
		{"one that is ready", 0, nil, time.Hour, nil, 0},
		{"one that refuses", 4 * time.Second, refused, time.Hour, refused, 1},
		{"somebody who gives up", time.Hour, nil, 10 * time.Second, context.DeadlineExceeded, 3},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), tt.patient)
			defer cancel()
			begun, told := time.Now(), 0
			err := ready(ctx, func(...any) { told++ }, func(ctx context.Context) error {
				select {
				case <-time.After(tt.takes - time.Since(begun)):
					return tt.answer
				case <-ctx.Done():
					return fmt.Errorf("the edge host is not connected yet (%w)", context.Cause(ctx))
				}
			})
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) || told != tt.told {
				t.Errorf("%s: %v, told %d times; want %v, %d times", tt.why, err, told, tt.want, tt.told)
			}
		})
	}
}
