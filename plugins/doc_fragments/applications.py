"""How modules take the applications that they are to work on, all in one task."""

from __future__ import annotations


class ModuleDocFragment:
    """What of an application its code needs, the throw-away uWSGI, and its instance under systemd."""

    RELEASES = r"""
options:
  releases:
    description: The applications, all in one task.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The application.
        type: str
        required: true
      home:
        description: Folder of the application on the host.
        type: path
        required: true
      group:
        description: The group that may read the code; root owns it.
        type: str
        default: root
      user:
        description:
          - The account that runs the application. Requirements of code at O(releases[].path) are read with its rights,
            and links of a release into C(HOME/shared) are its own. Without it those of the code's owner count.
        type: str
      source:
        description: Folder on the controller.
        type: str
      archive:
        description: Archive on the controller; a single top folder is left out.
        type: str
      repo:
        description: Git repository; O(checkouts) says which commit was fetched. Not used by the module itself.
        type: str
      version:
        description: Branch, tag or commit. Not used by the module itself.
        type: str
      path:
        description: Folder on the host where the code already is; only its virtualenv is looked after.
        type: path
      exclude:
        description: Names or patterns to leave out.
        type: list
        elements: str
        default: []
      requirements:
        description: A file in the code, or a list of requirements.
        type: raw
      auto:
        description:
          - What a lock pins, in the place of O(releases[].requirements), as the action plugin makes it of V(auto);
            C(file), C(digest), C(local) and, where a virtualenv may have to be filled, C(steps).
        type: dict
      bounds:
        description:
          - What the Python can run, lines of C(NAME<VERSION) that pip is handed as constraints. What the requirements
            pin has no bound, and to what they only bound from below the bound is added.
        type: list
        elements: str
        default: []
      constraints:
        description: Lines of constraints that pip is handed as they are, in the place of O(releases[].bounds).
        type: list
        elements: str
        default: []
      id:
        description: Name of the release; the action plugin fills it in.
        type: str
      pinned:
        description: A release on the host that is to be live with the virtualenv that it had, whatever is required now.
        type: bool
      had:
        description: With O(releases[].pinned) the virtualenv that it had, where that of the release is another by now.
        type: path
      bare:
        description: With O(releases[].pinned) whether it had no virtualenv; a link to one that was made since goes.
        type: bool
      sent:
        description: The archive on the host; the action plugin fills it in.
        type: path
      shared:
        description:
          - Folders and files of the code that outlive a release. They are kept in C(HOME/shared), which belongs to
            O(releases[].user), and each release has links to them; what a release brings is their first content.
          - A name with a slash at its end is a folder, and so is one without an ending that nothing has yet.
        type: list
        elements: str
        default: []
      writable:
        description: Folders that commands of C(before_live) fill; not used by the module itself.
        type: list
        elements: str
        default: []
      own_python:
        description: The Python of an application that names one of its own, in the place of the one of all others.
        type: dict
        suboptions:
          python:
            description: Major and minor of it.
            type: str
            required: true
          venv_command:
            description: Words of the command that makes a virtualenv of it when its path is appended.
            type: list
            elements: str
            required: true
          pip:
            description: The pip that its virtualenv gets first, as a requirement.
            type: str
            required: true
"""

    APPS = r"""
options:
  apps:
    description: The applications, all in one task.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Names the application.
        type: str
        required: true
      user:
        description: Account that runs the application.
        type: str
        required: true
      group:
        description: Primary group of the account.
        type: str
        required: true
      options:
        description: uWSGI's configuration of the application, a list of pairs of option and value.
        type: list
        elements: list
        default: []
      environment:
        description: Environment variables of the application; no message or result repeats a value.
        type: dict
        default: {}
      template:
        description: A template of its configuration, in the place of O(apps[].options).
        type: str
      vars:
        description: Extra variables for the template.
        type: dict
        default: {}
      text:
        description: What the template gave; the action plugin fills it in.
        type: str
      format:
        description: The language of that configuration.
        type: str
        choices: [ini, json, yaml, xml]
        default: ini
      probe:
        description: What the code must answer, C(path), C(host), C(status), C(text) and C(tls), as
          O(graceful.wsgi.uwsgi_reload#module:probe) says. It is judged as it is live.
        type: dict
        default: {}
      question:
        description:
          - Without O(apps[].probe), what a visitor asks first, C(path), C(host) and C(tls); C(callable) is the name of
            the callable for a message. Code that cannot be called as WSGI calls it is refused by its name.
          - Where it is C(judged), an answer of 500 or more is refused if the instance that lives at the socket C(live),
            which speaks C(protocol), answers better.
        type: dict
        default: {}
      unit:
        description: systemd unit of the application, whose settings hold for the throw-away uWSGI too.
        type: str
      dropin:
        description: The drop-in of that unit which O(apps[].service) is written to; it need not be there yet.
        type: path
      service:
        description: What the drop-in says in C([Service]), a list of pairs of setting and value.
        type: list
        elements: list
        default: []
      service_template:
        description: A template of the drop-in, in the place of O(apps[].service).
        type: str
      service_vars:
        description: Extra variables for that template.
        type: dict
        default: {}
      service_text:
        description: What the template gave; the action plugin fills it in.
        type: str
      files:
        description: Files that the unit names (C(EnvironmentFile), C(LoadCredential)) and that are not on the host yet
          as they will be, a mapping of their paths to their contents; further drop-ins of the unit may be among them.
        type: dict
        default: {}
      secret_files:
        description: Files with secrets that the unit names, whose values no message repeats; one that is not among
          O(apps[].files) is on the host, and its content is part of what has loaded.
        type: list
        elements: path
        default: []
      code:
        description: Where its code is (C(path)), and its variables C(module), C(requirements) and C(virtualenv), for
          what is said of a module that is missing.
        type: dict
        default: {}
      binary:
        description: The uWSGI of an application that names a Python of its own, in the place of the one of all others.
        type: path
"""

    INSTANCES = r"""
options:
  instances:
    description: The instances.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Names the instance.
        type: str
        required: true
      unit:
        description: systemd unit of the instance.
        type: str
        required: true
      unit_files:
        description: Files that make up the unit; a change of one needs a restart.
        type: list
        elements: path
        default: []
      config:
        description: uWSGI's configuration of the instance; a change needs a reload.
        type: path
        required: true
      pidfile:
        description: Where the master writes its pid.
        type: path
        required: true
      socket:
        description: A unix socket's path or C(host:port), open once the instance is up.
        type: str
        required: true
      run_dir:
        description: The folder of its run files, made by its unit (C(RuntimeDirectory=uwsgi-%i)). Its stats server
          is C(stats) there. Given together with O(instances[].link).
        type: path
      link:
        description:
          - A symlink to its socket, by which nginx reaches it. With it a unit that changed is restarted without a lost
            request, a second generation with the new settings, C(uwsgi@NAME@next.service), serving meanwhile. If that
            one does not come up, the first is not touched.
        type: path
      standby:
        description: The socket of that second generation; C(sock) in a run folder of its own where not given.
        type: path
      processes:
        description: Number of workers.
        type: int
        default: 1
      links:
        description: Symlinks that lead to the code and its virtualenv; a change of one needs a reload.
        type: list
        elements: path
        default: []
      mercy:
        description:
          - For an instance whose connections stay open (WebSockets), the seconds after which its unit cuts off what is
            left of them when it ends (C(TimeoutStopSec)). With it new code, too, is taken up by a second generation,
            nobody waits for connections to end before the first is told to, and only one such instance at a time is
            brought up to date.
        type: int
      needs_new_master:
        description:
          - Whether new code takes a new master, as it does beside mules, spoolers, attached daemons, crons, and without
            C(lazy-apps). A second generation then serves meanwhile or, where there is none, all of the instance gets
            SIGHUP. Mules, spoolers, attached daemons and crons that the configuration names count without it, too.
        type: bool
        default: false
      probe:
        description: A request that must hold after a reload, as O(graceful.wsgi.uwsgi_reload#module:probe).
        type: dict
        default: {}
      log_file:
        description: Log of the instance, whose end is shown when it fails.
        type: path
"""

    BACKGROUND = r"""
options:
  background:
    description: The processes of workers, and the timers, of all applications.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Its unit without the ending.
        type: str
        required: true
      app:
        description: The application.
        type: str
        required: true
      said:
        description: What it is called in messages.
        type: str
        required: true
      unit:
        description: The unit that is enabled and started.
        type: str
        required: true
      job:
        description: The unit that a timer starts; not given for a worker.
        type: str
      unit_files:
        description: Files that make up the unit; a change of one needs a restart.
        type: list
        elements: path
        default: []
      links:
        description: Symlinks that lead to the code and its virtualenv; a change of one needs a restart.
        type: list
        elements: path
        default: []
      stop_timeout:
        description: Seconds that it is given to finish.
        type: int
        default: 0
"""

    OWNER_CHANGES = r"""
options:
  owner_changes:
    description: What an instance leaves to another account, if it is to run as one.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Names the instance.
        type: str
        required: true
      dropin:
        description: The drop-in of its unit, which names the account that it has run as.
        type: path
        required: true
      user:
        description: The account that it is to run as.
        type: str
        required: true
      group:
        description: Primary group of the account.
        type: str
        required: true
      files:
        description: Logs of the instance. What rotation has made of them goes along, and their folder if an earlier
          run made it.
        type: list
        elements: path
        default: []
      folders:
        description: Folders that its runs made for it.
        type: list
        elements: path
        default: []
      before:
        description: The account that it has run as, as RV(graceful.wsgi.publish_info#module:owner_changes) tells it.
        type: str
"""
