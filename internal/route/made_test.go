package route_test

import (
	"context"
	"testing"

	"github.com/bungee-xr/bungee/internal/route"
	"github.com/bungee-xr/bungee/offload"
)

func double(context.Context, int) (int, error) { return 0, nil }

func triple(context.Context, int) (int, error) { return 1, nil }

type scale struct{}

func (scale) Times(context.Context, int) (int, error) { return 2, nil }

func TestDescOf(t *testing.T) {
	a, b := &offload.Desc{Name: "a"}, &offload.Desc{Name: "b"}
	route.Made(double, a)
	route.Made(scale.Times, b)
	if got := route.DescOf(double); got != a {
		t.Errorf("double: %v", got)
	}
	if got := route.DescOf(scale.Times); got != b {
		t.Errorf("scale.Times: %v", got)
	}
	var none func()
	for _, f := range []any{nil, 7, triple, none, a} {
		if got := route.DescOf(f); got != nil {
			t.Errorf("%T leads to %v", f, got)
		}
	}
}
