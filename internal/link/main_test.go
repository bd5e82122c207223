package link_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		lifelineHost()
		return
	}
	goleak.VerifyTestMain(m)
}
