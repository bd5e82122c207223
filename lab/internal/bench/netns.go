package bench

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// within makes cmd run in a network namespace.
func within(space string, cmd *exec.Cmd) *exec.Cmd {
	in := exec.Command("ip", append([]string{"netns", "exec", space}, cmd.Args...)...)
	in.Env, in.Dir, in.Stderr = cmd.Env, cmd.Dir, cmd.Stderr
	return in
}

// inSpace runs commands in a network namespace, until one fails.
func inSpace(space string, commands ...string) error {
	for _, c := range commands {
		if err := ip("netns exec " + space + " " + c); err != nil {
			return err
		}
	}
	return nil
}

// dropSpace takes a network namespace away, if there is one of that name.
func dropSpace(space string) error {
	if _, err := os.Stat("/run/netns/" + space); err != nil {
		return nil
	}
	return ip("netns del " + space)
}

// ip runs the command of that name.
func ip(args string) error {
	out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", args, err, strings.TrimSpace(string(out)))
	}
	return nil
}
