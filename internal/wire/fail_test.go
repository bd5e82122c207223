package wire

import (
	"errors"
	"fmt"
	"testing"

	"github.com/bungee-xr/bungee/offload"
)

func TestFailOf(t *testing.T) {
	tests := []struct {
		err  error
		want Fail
		why  string
	}{
		{fmt.Errorf("load: %w", &Fail{Code: offload.CodeTrapped, Started: true, Text: "t"}), Fail{offload.CodeTrapped, true, "t"}, "what is said already is said unchanged"},
		{malformed("x"), Fail{offload.CodeProtocol, false, "malformed frame: x"}, "the peer broke the protocol"},
		{errors.New("disk full"), Fail{offload.CodeInternal, false, "disk full"}, "anything else is our own fault"},
	}
	for _, tt := range tests {
		if got := *FailOf(tt.err); got != tt.want {
			t.Errorf("FailOf(%v) = %+v, want %+v: %s", tt.err, got, tt.want, tt.why)
		}
	}
}
