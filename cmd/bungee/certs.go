package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/internal/identity"
)

func certsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "certs [DIR]",
		Short: "Make an authority and the certificates of an edge host and a UE",
		Long: `certs writes ca.pem, host.pem, host.key, ue.pem and ue.key into DIR, by default
the folder where "bungee host" and "yolo-demo -edge" look for them.

The host needs ca.pem, host.pem and host.key; the UE ca.pem, ue.pem and ue.key.
Copy them to other machines by a way that you trust. The authority's own key is
thrown away: to add or replace a certificate, make all anew in an empty folder.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := certsDir(args)
			if err != nil {
				return err
			}
			if err := identity.Write(dir); err != nil {
				return err
			}
			fmt.Println("certificates are in", dir)
			return nil
		},
	}
}

// certsDir returns args[0], or the user's own folder.
func certsDir(args []string) (string, error) {
	if len(args) > 0 && args[0] != "" {
		return args[0], nil
	}
	return identity.Dir()
}
