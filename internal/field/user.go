package field

import (
	"github.com/windhover/windhover/internal/event"
)

// namesOf returns the users and groups of the root file system that the process lives
// in, or nil: then only root has a name.
func namesOf(ev *event.Event) *event.Names {
	if img, ok := imageOf(ev); ok {
		return img.Names
	}
	return nil
}

// userText returns the accessor of a text of the user that caused the event. A user
// that is not known has the text that the rule language has for that.
func userText(of func(*event.User) []byte) func(*event.Event) ([]byte, bool) {
	return func(ev *event.Event) ([]byte, bool) {
		u := namesOf(ev).User(ev.UID)
		if u == nil {
			return notAvailable, true
		}
		if b := of(u); len(b) > 0 {
			return b, true
		}
		return notAvailable, true
	}
}

var userFields = []*Field{
	{
		Name: "user.uid", Kind: KindUint, Doc: "Effective user ID.",
		Int: func(ev *event.Event) (int64, bool) { return int64(ev.UID), true },
	},
	{Name: "user.name", Kind: KindText, Doc: "Name of the effective user.", Text: userText(func(u *event.User) []byte { return u.Name })},
	{Name: "user.homedir", Kind: KindText, Doc: "Home directory of the effective user.", Text: userText(func(u *event.User) []byte { return u.Home })},
	{Name: "user.shell", Kind: KindText, Doc: "Login shell of the effective user.", Text: userText(func(u *event.User) []byte { return u.Shell })},
	{
		Name: "user.loginuid", Kind: KindInt, Doc: "ID of the user that logged in, whoever it became since; -1 if none did.",
		Int: imageInt(func(i *event.Image) (int64, bool) { return int64(i.LoginUID), true }).int(0),
	},
	{
		Name: "user.loginname", Kind: KindText, Doc: "Name of the user that logged in.",
		Text: imageText(func(_ *event.Event, i *event.Image) ([]byte, bool) {
			if i.LoginUID >= 0 {
				if u := i.Names.User(uint32(i.LoginUID)); u != nil {
					return u.Name, true
				}
			}
			return notAvailable, true
		}).text(0),
	},
}

var groupFields = []*Field{
	{
		Name: "group.gid", Kind: KindUint, Doc: "Effective group ID.",
		Int: func(ev *event.Event) (int64, bool) { return int64(ev.GID), true },
	},
	{
		Name: "group.name", Kind: KindText, Doc: "Name of the effective group.",
		Text: func(ev *event.Event) ([]byte, bool) {
			if g := namesOf(ev).Group(ev.GID); g != nil {
				return g.Name, true
			}
			return notAvailable, true
		},
	},
}
