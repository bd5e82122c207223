package executor

import (
	"context"
	"testing"
)

func TestCountNetwork(t *testing.T) {
	var c Call
	ctx := WithCall(t.Context(), &c)
	CountNetwork(ctx, 10, 1)
	CountNetwork(ctx, 5, 2)
	if in, out := c.TakeNetwork(); in != 15 || out != 3 {
		t.Errorf("%d in, %d out; want 15, 3", in, out)
	}
	if in, out := c.TakeNetwork(); in+out != 0 {
		t.Errorf("%d in, %d out were counted for the next call too", in, out)
	}
	CountNetwork(context.Background(), 1, 1) // of no call: nobody pays
	var none *Call
	if in, out := none.TakeNetwork(); in+out != 0 {
		t.Errorf("no call: %d in, %d out", in, out)
	}
}
