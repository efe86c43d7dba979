# Copyright: the graceful.wsgi contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Repositories fetched by an account of git's own; root gets a commit as an archive that this account packed."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import contextlib
import fcntl
import os
import re

from ansible_collections.graceful.wsgi.plugins.module_utils import tree
from ansible_collections.graceful.wsgi.plugins.module_utils.build_account import Account, BuildError, surroundings
from ansible_collections.graceful.wsgi.plugins.module_utils.disk import STATE_DIR, encoded, lock_file, make_folders
from ansible_collections.graceful.wsgi.plugins.module_utils.safe_path import UnsafePath, as_account

# An administrator may put .ssh, .netrc and .gitconfig there; clones are beside them.
HOME = "/var/lib/graceful-wsgi/git"
# Name of a ref in our clone only, for what no branch or tag of the repository holds.
_OURS = "refs/graceful-wsgi/wanted"


class GitError(Exception):
    """A repository cannot be fetched or checked out; the text says why."""


def without_credentials(url):
    """An address without user and password, and them as git's credential store has them; None where there are none.

    The user of an ssh address stays: it is no secret, and the address is another one without it.
    """
    found = re.match(r"(https?://)([^/@]*(?:@[^/@]*)*)@([^/@]*)(.*)\Z", url, re.S)
    if not found:
        return url, None
    scheme, user, host, rest = found.groups()
    return scheme + host + rest, "%s%s@%s" % (scheme, user if ":" in user else user + ":", host)


def on_this_host(url):
    """The folder that an address names, or None where it is on another host."""
    path = url[len("file://"):] if url.startswith("file://") else url
    return path if path.startswith("/") else None


def _write(path, text):
    if not os.path.isdir(os.path.dirname(path)):
        os.makedirs(os.path.dirname(path), 0o700)
    if os.path.lexists(path):
        os.unlink(path)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
        target.write(encoded(text))


class Git:
    """git, run as its account."""

    def __init__(self, account):
        self.account = account

    @classmethod
    def of(cls, user, run_command):
        """git as this account, which is made with its home where it is missing."""
        try:
            account = Account.made(user, HOME, run_command)
            account.own(os.path.join(HOME, "tmp"))
        except (BuildError, UnsafePath) as error:
            raise GitError(str(error))
        return cls(account)

    @contextlib.contextmanager
    def alone(self):
        """No other run uses the account: each command ends with all of its processes."""
        make_folders(STATE_DIR)
        with lock_file(os.path.join(STATE_DIR, "git.lock")) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class Clone:
    """An application's repository: what git knows of it, in a folder of git's account."""

    def __init__(self, git, name):
        self.git, self.name = git, name
        self.path = os.path.join(git.account.home, "repos", name)
        self.settings = os.path.join(git.account.home, ".graceful-wsgi", name)

    def _run(self, words, cwd=None, url=None):
        environment = surroundings(self.git.account.home)
        environment.update({"XDG_CONFIG_HOME": self.settings, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"})
        # Where nobody is to be asked for a password.
        environment.update({"GIT_ASKPASS": "/bin/true", "SSH_ASKPASS": "/bin/true"})
        here = on_this_host(url or "")
        return self.git.account.run(
            ["git"] + words, cwd or self.git.account.home, environment, visible=[here] if here else []
        )

    def _do(self, words, cwd=None, url=None, what=None):
        status, said = self._run(words, cwd, url)
        if status:
            raise GitError(
                "%s failed (`git %s`, status %d): %s\ngit runs as the account %s, whose home %s may hold what it needs "
                "to be let in (.ssh, .netrc), and which must be able to read a repository on this host"
                % (
                    what or "git",
                    words[0],
                    status,
                    "\n".join(said.strip().splitlines()[-15:]),
                    self.git.account.name,
                    self.git.account.home,
                )
            )
        return said

    def configure(self, url, credentials):
        """Tell git how to get in, and that it may read a repository of this host whoever owns it."""
        place = os.path.join(self.settings, "git")
        lines = ["[gc]", "\tautoDetach = false", "[advice]", "\tdetachedHead = false"]
        here = on_this_host(url)
        if here:
            quoted = here.rstrip("/").replace("\\", "\\\\").replace('"', '\\"')
            lines += ["[safe]"] + ['\tdirectory = "%s%s"' % (quoted, end) for end in ("", "/", "/.git", "/.git/")]
        if credentials:
            lines += ["[credential]", "\thelper = store --file=%s/credentials" % place]

        def write():
            _write(os.path.join(place, "config"), "\n".join(lines) + "\n")
            _write(os.path.join(place, "credentials"), (credentials or "") + "\n")

        as_account(self.git.account.who, write)

    def resolve(self, url, version):
        """The commit that a branch, tag, or HEAD is at now; None where only the clone can tell (an abbreviated one)."""
        said = self._do(["ls-remote", url], url=url, what="asking %s" % url)
        refs = dict(
            reversed(line.split("\t", 1)) for line in said.splitlines() if re.match(r"[0-9a-f]{40,64}\t\S+$", line)
        )
        for name in (version, "refs/heads/" + version, "refs/tags/%s^{}" % version, "refs/tags/" + version):
            if name in refs and (name != version or version == "HEAD" or version.startswith("refs/")):
                return refs[name]
        if re.match(r"[0-9a-f]{40}\Z", version):
            return version
        if re.match(r"[0-9a-f]{7,39}\Z", version):
            return None
        raise GitError("%s has no branch, tag or commit %r; write one that it has as version" % (url, version))

    def holds(self, commit):
        """The whole name of a commit that the clone has, else None."""
        if not os.path.isdir(os.path.join(self.path, ".git")):
            return None
        status, said = self._run(["rev-parse", "--verify", "--quiet", commit + "^{commit}"], self.path)
        said = said.strip()
        return said if status == 0 and re.match(r"[0-9a-f]{40,64}\Z", said) else None

    def fetch(self, url, version, commit):
        """Have the commit in the clone, which is made where it is missing."""
        what = "fetching %s" % url
        if not os.path.isdir(os.path.join(self.path, ".git")):
            self._do(["init", "--quiet", self.path], what="making a clone in %s" % self.path)
        branches = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"]
        more = ["+%s:%s" % (version, _OURS)] if version == "HEAD" or version.startswith("refs/") else []
        self._do(["fetch", "--quiet", "--force", "--prune", url] + branches + more, self.path, url, what)
        if commit and not self.holds(commit):
            # In no branch and no tag; some servers hand it out all the same.
            self._run(["fetch", "--quiet", url, commit], self.path, url)
        found = self.holds(commit or version)
        if not found:
            raise GitError("%s has no commit %r; write one that it has as version" % (url, version))
        return found

    def check_out(self, commit):
        """Have the files of a commit in the clone, and no others; for whoever has git alone()."""
        what = "checking out %s" % commit
        self._do(["checkout", "--quiet", "--force", "--detach", commit], self.path, what=what)
        self._do(["clean", "-ffdxq"], self.path, what=what)

    def export(self, commit, exclude, place):
        """The tree of a commit with its submodules, as an open archive; ``place``: a folder of root's for it."""
        with self.git.alone():
            self.check_out(commit)
            self._do(["submodule", "--quiet", "sync"], self.path, what="checking out %s" % commit)
            words = ["submodule", "--quiet", "update", "--init", "--recursive", "--force"]
            self._do(words, self.path, what="fetching its submodules")
            try:
                return tree.packed(self.git.account.who, self.path, exclude, place)
            except (tree.TreeError, UnsafePath) as error:
                raise GitError(str(error))


def current(git, wanted, check_mode):
    """{after, changed} of a repository: {name, repo, version, credentials}; fetched unless in check mode."""
    clone = Clone(git, wanted["name"])
    url, version = wanted["repo"], wanted["version"]
    if url.startswith("-"):
        raise GitError("%r is no address of a repository" % url)
    with git.alone():
        clone.configure(url, wanted.get("credentials"))
        commit = clone.resolve(url, version)
        found = clone.holds(commit or version)
        if found:
            return {"after": found, "changed": False}
        return {"after": commit if check_mode else clone.fetch(url, version, commit), "changed": True}
