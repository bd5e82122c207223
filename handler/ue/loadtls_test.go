package ue

import (
	"strings"
	"testing"
)

// Who has no certificates is told how others get them: by the command, or by an edge host of their own.
func TestLoadTLSSaysWhatToStart(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", "")
	_, err := LoadTLS("")
	if err == nil || !strings.Contains(err.Error(), "bungee ca issue ue NAME") || !strings.Contains(err.Error(), `"bungee host" or "bungee up"`) {
		t.Errorf("in the user's own folder: %v; want the commands that make certificates there", err)
	}
	if _, err := LoadTLS(t.TempDir()); err == nil || strings.Contains(err.Error(), "bungee host") {
		t.Errorf("in another folder: %v; want no hint at what does not write there", err)
	}
}
