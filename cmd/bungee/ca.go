package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/bungee-xr/bungee/internal/authority"
	"github.com/bungee-xr/bungee/internal/cli"
	"github.com/bungee-xr/bungee/internal/identity"
)

// caFlags are the flags of "bungee ca" and of its commands.
type caFlags struct {
	dir, name, tenant string
	addresses         []string
	all, end, force   bool
}

func caCommand() *cobra.Command {
	var f caFlags
	c := &cobra.Command{
		Use:   "ca",
		Short: "Make, renew and revoke the identities of UEs, edge hosts and managers",
		Long: `ca keeps an authority in a folder: its key, what it has issued, and a folder for each
device with what that device needs, to be copied to it by a way that you trust:

  bungee ca init
  bungee ca issue host edge-1
  bungee ca issue ue headset-1 --tenant acme
  bungee host --certs FOLDER            # where the second command says
  ue.LoadTLS(FOLDER)                    # and the third

Each command can be repeated: it says what was there. Hosts and UEs that run take new files
without a restart. docs/identities.md has the rest: renewal, revocation, rotation, backups.`,
	}
	c.PersistentFlags().StringVar(&f.dir, "dir", "", "folder of the authority (default: the user's own)")
	c.AddCommand(f.initCommand(), f.issueCommand(), f.renewCommand(), f.lsCommand(), f.revokeCommand(), f.rotateCommand())
	return c
}

// lifeFlag is a command's flag for how long something is valid.
func lifeFlag(c *cobra.Command, life time.Duration, what string) {
	c.Flags().Duration("lifetime", life, what)
}

// lifetime returns what the command's flag says.
func lifetime(c *cobra.Command) (time.Duration, error) {
	life, err := c.Flags().GetDuration("lifetime")
	if err == nil && life < 0 {
		err = fmt.Errorf("%w: --lifetime is less than nothing", cli.ErrUsage)
	}
	return life, err
}

func (f *caFlags) initCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "init", Short: "Make an authority", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := f.folder()
			if err != nil {
				return err
			}
			if err := identity.CheckAuthority(f.name); err != nil {
				return fmt.Errorf("%w: --name: %w", cli.ErrUsage, err)
			}
			life, err := lifetime(c)
			if err != nil {
				return err
			}
			a, made, err := authority.Init(dir, f.name, life)
			if err != nil {
				return err
			}
			word := "was there"
			if made {
				word = "is made"
			}
			fmt.Fprintf(c.OutOrStdout(), "authority %s %s, and ends on %s: %s\n", a.Name(), word, date(a.Ends()), dir)
			return a.Close()
		},
	}
	c.Flags().StringVar(&f.name, "name", "bungee", "name of the authority, with which IDs begin, like a host's name")
	lifeFlag(c, authority.Life, "how long the authority lasts")
	return c
}

func (f *caFlags) issueCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "issue {ue | host | manager} NAME",
		Short: "Make the identity of a device, and its folder",
		Args:  usage(cobra.ExactArgs(2)),
		RunE: f.with(func(c *cobra.Command, args []string, a *authority.Authority) error {
			id, err := f.id(a, args)
			if err != nil {
				return err
			}
			life, err := lifetime(c)
			if err != nil {
				return err
			}
			i, made, err := a.Issue(id, life, f.addresses)
			if err != nil {
				return err
			}
			word := "was issued on " + date(i.Cert.NotBefore)
			if made {
				word = "is issued"
			}
			fmt.Fprintf(c.OutOrStdout(), "%s %s, and ends on %s: %s\n", id, word, date(i.Cert.NotAfter), where(i))
			tellShort(c.ErrOrStderr(), a, i)
			return nil
		}),
	}
	c.Flags().StringVar(&f.tenant, "tenant", "default", "whom the UE's quotas and bills belong to")
	c.Flags().StringArrayVar(&f.addresses, "address", nil, "name or IP address of a host, for other tools that look at its certificate; may be repeated")
	lifeFlag(c, authority.DeviceLife, "how long the certificate lasts")
	return c
}

// tellShort says so if one of all ends because the authority does.
func tellShort(out io.Writer, a *authority.Authority, all ...authority.Issued) {
	if slices.ContainsFunc(all, func(i authority.Issued) bool { return i.Short && !i.Before && i.State == authority.Valid }) {
		fmt.Fprintf(out, "the authority ends on %s, and what it signs does so then; \"bungee ca rotate\" makes the next one\n", date(a.Ends()))
	}
}

func where(i authority.Issued) string {
	if !i.Here {
		return i.Dir + " is not there any more; if the device has lost its key, revoke it and issue another"
	}
	return i.Dir
}

func (f *caFlags) renewCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "renew [{ue | host | manager} NAME]",
		Short: "Make the next certificates of devices",
		Long: `renew makes the next certificate of each device whose own ends within 30 days, or has a third of
its life left, has ended, or is of the authority before a rotation. It says so when certificates end because the
authority does. A device named, or --all, is renewed
in any case. The device keeps its key, so its folder may have gone to it: copy the new files there.`,
		Args: usage(cobra.MatchAll(cobra.MaximumNArgs(2), func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				return errors.New("a device is a role and a name, as in: host edge-1")
			}
			return nil
		})),
		RunE: f.with(f.renew),
	}
	c.Flags().StringVar(&f.tenant, "tenant", "default", "tenant of the UE")
	c.Flags().BoolVar(&f.all, "all", false, "renew all that are not revoked")
	lifeFlag(c, 0, "how long the certificate lasts (default: as long as the one before)")
	return c
}

func (f *caFlags) renew(c *cobra.Command, args []string, a *authority.Authority) error {
	life, err := lifetime(c)
	if err != nil {
		return err
	}
	all, err := a.List()
	if err != nil {
		return err
	}
	var only identity.ID
	if len(args) > 0 {
		if only, err = f.id(a, args); err != nil {
			return err
		}
	}
	renewed := 0
	for n, i := range all {
		switch {
		case len(args) > 0 && i.ID != only:
			continue
		case len(args) > 0, f.all && i.State != authority.Revoked, i.Due(time.Now()):
		default:
			if i.State != authority.Revoked { // what a process that ended early has left
				if err := a.Refresh(i); err != nil {
					return err
				}
			}
			continue
		}
		next, err := a.Renew(i, life)
		if err != nil {
			return err
		}
		renewed++
		all[n] = next
		fmt.Fprintf(c.OutOrStdout(), "%s is renewed, and ends on %s: %s\n", next.ID, date(next.Cert.NotAfter), next.Dir)
	}
	if len(args) > 0 && renewed == 0 {
		return fmt.Errorf(`%s was never issued here; "bungee ca ls" says what was`, only.Path())
	}
	fmt.Fprintf(c.OutOrStdout(), "%d of %d renewed\n", renewed, len(all))
	tellShort(c.ErrOrStderr(), a, all...)
	return nil
}

func (f *caFlags) lsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "ls", Short: "List what was issued", Args: cobra.NoArgs,
		RunE: f.with(func(c *cobra.Command, _ []string, a *authority.Authority) error {
			all, err := a.List()
			if err != nil {
				return err
			}
			return list(c.OutOrStdout(), a, all)
		}),
	}
}

func list(out io.Writer, a *authority.Authority, all []authority.Issued) error {
	fmt.Fprintf(out, "authority %s ends on %s", a.Name(), date(a.Ends()))
	if a.Rotating() {
		fmt.Fprint(out, "; the one before is trusted, too")
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "DEVICE\tENDS\tSTATE\tFOLDER")
	for _, i := range all {
		state, folder := i.State.String(), "here"
		switch {
		case i.State == authority.Valid && i.Before:
			state = "of the authority before"
		case i.State == authority.Valid && i.Due(time.Now()):
			state = "to be renewed"
		}
		if !i.Here {
			folder = "gone"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", i.ID.Path(), date(i.Cert.NotAfter), state, folder)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	tellShort(out, a, all...)
	return nil
}

func (f *caFlags) revokeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "revoke {{ue | host | manager} NAME | certificate FILE}",
		Short: "Have hosts refuse a device from now on",
		Long: `revoke writes the next list of revoked certificates, revoked.pem, into the authority's folder and into those
of hosts and managers that are here. Copy it to the other hosts. A host reads it within half a second, ends the
device's sessions within two, and refuses its tickets. All certificates of the device that have not ended are
revoked; those of a manager take along what the manager has signed. A certificate in a file is one that a
manager has signed.`,
		Args: usage(cobra.ExactArgs(2)),
		RunE: f.with(func(c *cobra.Command, args []string, a *authority.Authority) (err error) {
			var n int
			if args[0] == "certificate" {
				n, err = revokeFile(a, args[1])
			} else {
				var id identity.ID
				if id, err = f.id(a, args); err == nil {
					n, err = a.Revoke(id)
				}
			}
			if err != nil {
				return err
			}
			if n == 0 {
				fmt.Fprintln(c.OutOrStdout(), "nothing to revoke: it is revoked already, or has ended")
				return nil
			}
			dir, err := f.folder()
			fmt.Fprintf(c.OutOrStdout(), "%d certificates are revoked; hosts need %s\n", n, filepath.Join(dir, identity.RevokedFile))
			return err
		}),
	}
	c.Flags().StringVar(&f.tenant, "tenant", "default", "tenant of the UE")
	return c
}

func revokeFile(a *authority.Authority, file string) (int, error) {
	certs, err := identity.ReadCertificates(file, 3)
	if err != nil {
		return 0, err
	}
	id, err := identity.IDOf(certs[0])
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	if id.Authority != a.Name() {
		return 0, fmt.Errorf("%s is that of %s, of another authority than %s", file, id, a.Name())
	}
	return a.RevokeCertificates(certs[:1])
}

func (f *caFlags) rotateCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "rotate",
		Short: "Replace the authority's key, step by step",
		Long: `rotate makes the authority's next key. Nothing is interrupted if the steps keep this order:

  bungee ca rotate           # then copy ca.pem to all hosts and devices: both are trusted
  bungee ca renew --all      # then copy each device's files to it
  bungee ca rotate --end     # then copy ca.pem to all again: the one before is not trusted`,
		Args: cobra.NoArgs,
		RunE: f.with(func(c *cobra.Command, _ []string, a *authority.Authority) error {
			if f.end {
				if err := a.EndRotation(f.force); err != nil {
					return err
				}
				fmt.Fprintln(c.OutOrStdout(), "the authority before is dropped; copy ca.pem and revoked.pem to all hosts and devices")
				return nil
			}
			life, err := lifetime(c)
			if err != nil {
				return err
			}
			if err := a.Rotate(life); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "the next authority signs from now on, and ends on %s; copy ca.pem and revoked.pem to all hosts and devices, and then renew --all\n", date(a.Ends()))
			return nil
		}),
	}
	c.Flags().BoolVar(&f.end, "end", false, "drop the authority before")
	c.Flags().BoolVar(&f.force, "force", false, "with --end: also while devices have certificates of it")
	lifeFlag(c, authority.Life, "how long the next authority lasts")
	return c
}

// with returns what runs a command on the authority.
func (f *caFlags) with(run func(*cobra.Command, []string, *authority.Authority) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		dir, err := f.folder()
		if err != nil {
			return err
		}
		a, err := authority.Open(dir)
		if err != nil {
			return err
		}
		return errors.Join(run(c, args, a), a.Close())
	}
}

// folder returns the authority's folder.
func (f *caFlags) folder() (string, error) {
	if f.dir != "" {
		return f.dir, nil
	}
	certs, err := identity.Dir()
	return filepath.Join(filepath.Dir(certs), "ca"), err
}

// id returns the ID that a role and a name say.
func (f *caFlags) id(a *authority.Authority, args []string) (identity.ID, error) {
	for _, role := range []identity.Role{identity.UE, identity.Host, identity.Manager} {
		if role.String() == args[0] {
			id, err := a.ID(role, f.tenant, args[1])
			if err != nil {
				err = fmt.Errorf("%w: %w", cli.ErrUsage, err)
			}
			return id, err
		}
	}
	return identity.ID{}, fmt.Errorf("%w: %.40q is no role: ue, host and manager are", cli.ErrUsage, args[0])
}

// usage makes what check finds an error of usage.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return fmt.Errorf("%w: %w", cli.ErrUsage, err)
		}
		return nil
	}
}

func date(t time.Time) string { return t.UTC().Format("2006-01-02") }
