package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"
)

// notifySystemd tells systemd how this process is, if it started it as a service of Type=notify
// (sd_notify(3)): "READY=1", "STOPPING=1". Otherwise it does nothing.
func notifySystemd(state string) error {
	at := os.Getenv("NOTIFY_SOCKET")
	if at == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: at, Net: "unixgram"}) // Go knows "@" as Linux does
	if err != nil {
		return fmt.Errorf("systemd is not told %s: %w", state, err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(state)); err != nil {
		return fmt.Errorf("systemd is not told %s: %w", state, err)
	}
	return nil
}

// tell is notifySystemd, which serves whoever is told or not.
func tell(state string, log *slog.Logger) {
	if err := notifySystemd(state); err != nil {
		log.Warn("service", "why", err)
	}
}
