package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/internal/wire"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the versions of this program, of Go and of the protocol",
		Long: `version prints the version of the module that this program was built from, with the
commit where it is known and "modified" where the checkout had changes; the version of
Go and the platform; and the version of the protocol, which a UE and an edge host must
share. "bungee --version" prints the same.`,
		Args: cobra.NoArgs,
		Run:  func(*cobra.Command, []string) { fmt.Print(version()) },
	}
}

// version returns what "bungee version" prints.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return versionOf(info)
}

func versionOf(info *debug.BuildInfo) string {
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	program := "bungee " + cmp.Or(info.Main.Version, "(unknown)")
	if revision := settings["vcs.revision"]; revision != "" {
		program += ", commit " + revision[:min(12, len(revision))]
	}
	if settings["vcs.modified"] == "true" {
		program += ", modified"
	}
	return fmt.Sprintf("%s\n%s %s/%s\nprotocol %s\n", program, runtime.Version(), runtime.GOOS, runtime.GOARCH, wire.ALPN)
}
