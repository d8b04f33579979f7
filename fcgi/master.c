/* SPDX-License-Identifier: ISC */
/* The program sandpool-fcgi. Runs as: worker user; started as root it becomes that
 * user before it opens anything, or does not start.
 *
 * One master holds the two listening sockets and keeps the processes alive that
 * answer: run workers on one socket, api workers on the other, and the prober, which
 * asks the languages for their versions. The master parses nothing that comes from
 * outside. Started by a web server as CGI, the same program answers one request.
 *
 *	SIGHUP			read settings and languages again; new workers take over,
 *				the old ones end what they have
 *	SIGQUIT, SIGTERM, SIGINT
 *				take nothing new, end what is under way, leave
 *	SIGTERM, SIGINT again	leave at once */
#define _GNU_SOURCE
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/settings.h"
#include "fcgi/keys.h"
#include "fcgi/listen_fds.h"
#include "fcgi/metrics.h"
#include "fcgi/pool.h"
#include "fcgi/worker.h"

#define BACKLOG		16   /* who finds it full hears 503 from nginx at once */
#define TICK_MS		250
#define SHORT_LIFE_MS	1000 /* a worker that lives shorter has a reason for it */
#define SHORT_LIVES	8    /* so many in a row are started again at once */
#define PAUSE_MS	500  /* and then only so often */
#define CANCEL_MS	3000 /* from the last word to SIGKILL */
#define CHILDREN_MAX	4096

enum child_kind { CHILD_RUN, CHILD_API, CHILD_PROBER, CHILD_KINDS };

struct child {
	pid_t pid; /* 0: the place is free */
	enum child_kind kind;
	unsigned generation;
	size_t row;
	uint64_t started_ms;
	uint64_t leave_by_ms; /* 0: stays; else when its patience ends */
	bool cancelled;
};

static struct master {
	const char *conf_path;
	char *socket_path[2]; /* as asked for; NULL: in the run directory */
	char *bound_path[2];  /* ours to remove */
	int listen_fd[2];     /* by enum child_kind */
	struct pool pool;
	struct child child[CHILDREN_MAX];
	unsigned generation;
	bool stopping;
	unsigned short_lives;
	uint64_t pause_until_ms, signal_again_ms, watchdog_at_ms;
} master = { .listen_fd = { -1, -1 } };

/* ---- who we are ---- */

static int find_user(const char *name, uid_t *ret_uid, gid_t *ret_gid, struct error *err)
{
	const struct passwd *user;
	char *end;

	if (*name >= '0' && *name <= '9') {
		*ret_uid = (uid_t)strtoul(name, &end, 0);
		*ret_gid = (gid_t)*ret_uid;
		return *end ? error_set(err, EINVAL, "user %s", name) : 0;
	}
	user = getpwnam(name);
	if (!user)
		return error_set(err, ENOENT, "worker-user: there is no user \"%s\"", name);
	*ret_uid = user->pw_uid;
	*ret_gid = user->pw_gid;
	return 0;
}

/* (gid_t)-1 when there is no such group: then it is left as it is. */
static gid_t find_group(const char *name)
{
	const struct group *group;

	if (*name >= '0' && *name <= '9')
		return (gid_t)strtoul(name, NULL, 0);
	group = getgrnam(name);
	return group ? group->gr_gid : (gid_t)-1;
}

/* Gives root away for good. Nothing is open yet but the standard descriptors and the
 * sockets that were handed over; of the files only the configuration was read. */
static int become_worker(const struct settings *settings, struct error *err)
{
	gid_t group = find_group(settings->socket_group), gid = 0;
	uid_t uid = 0;

	if (find_user(settings->worker_user, &uid, &gid, err) < 0)
		return -1;
	if (uid == 0 || gid == 0)
		return error_set(err, EPERM, "worker-user must not be root");
	if (setgroups(group != (gid_t)-1, &group) < 0 || setresgid(gid, gid, gid) < 0 ||
	    setresuid(uid, uid, uid) < 0)
		return error_errno(err, "become %s", settings->worker_user);
	if (setuid(0) == 0 || seteuid(0) == 0)
		return error_set(err, EPERM, "still root");
	return 0;
}

static int leave_root(const char *conf_path, struct error *err)
{
	struct settings settings = { 0 };
	int rc;

	if (geteuid() != 0 && getuid() != 0)
		return 0;
	if (settings_load(conf_path, true, &settings, err) < 0)
		return -1;
	rc = become_worker(&settings, err);
	settings_free(&settings);
	return rc;
}

/* ---- sockets ---- */

static const char *const socket_names[] = { "run.sock", "api.sock" };

static bool is_listening(int fd)
{
	socklen_t size = sizeof(int);
	int listening = 0;

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening;
}

/* One master for a path. The lock is this process's alone: when it is killed, workers
 * may go on for a while with what they have, and hold the old socket open, but the
 * next master takes the path over. -1 when another master lives. */
static int lock_path(const char *path, struct error *err)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	cleanup_free char *name = NULL;
	bool known;
	int fd;

	if (asprintf(&name, "%s.lock", path) < 0) {
		name = NULL;
		return error_set(err, ENOMEM, "out of memory");
	}
	known = access(name, F_OK) == 0;
	/* stays open as long as we live; a second lock of ours would give it up */
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_errno(err, "%s", name);
	if (fcntl(fd, F_SETLK, &whole) < 0) {
		close(fd);
		return error_set(err, EADDRINUSE, "%s: another pool has it", path);
	}
	/* what a pool before us left behind */
	if (known && unlink(path) < 0 && errno != ENOENT)
		return error_errno(err, "unlink %s", path);
	return 0;
}

static int bind_own(enum child_kind kind, struct error *err)
{
	const struct settings *settings = &master.pool.settings;
	gid_t group = find_group(settings->socket_group);
	char *path = master.socket_path[kind];

	path = path ? strdup(path) : NULL;
	if (!path && asprintf(&path, "%s/%s", settings->run_directory, socket_names[kind]) < 0)
		path = NULL;
	if (!path)
		return error_set(err, ENOMEM, "out of memory");
	if (lock_path(path, err) < 0) {
		free(path);
		return -1;
	}
	if (group == (gid_t)-1)
		log_event(LOG_WARNING, "socket-group: there is no group \"%s\"",
			  settings->socket_group);
	master.listen_fd[kind] = io_listen_unix(path, SOCK_STREAM, 0660, group, BACKLOG, err);
	if (master.listen_fd[kind] < 0) {
		free(path);
		return -1;
	}
	master.bound_path[kind] = path;
	return 0;
}

/* In this order: handed over by systemd; as descriptor 0, as spawn-fcgi and FastCGI's
 * own convention have it; bound by ourselves. */
static int open_sockets(struct error *err)
{
	int kind;

	listen_fds_take(&master.listen_fd[CHILD_RUN], &master.listen_fd[CHILD_API]);
	if (master.listen_fd[CHILD_RUN] < 0 && is_listening(STDIN_FILENO))
		master.listen_fd[CHILD_RUN] = STDIN_FILENO;
	for (kind = CHILD_RUN; kind <= CHILD_API; kind++) {
		int flags;

		if (master.listen_fd[kind] < 0 && bind_own((enum child_kind)kind, err) < 0)
			return -1;
		/* the workers poll, and must not block when another was faster */
		flags = fcntl(master.listen_fd[kind], F_GETFL);
		if (flags < 0 ||
		    fcntl(master.listen_fd[kind], F_SETFL, flags | O_NONBLOCK) < 0)
			return error_errno(err, "socket %d", master.listen_fd[kind]);
	}
	return 0;
}

static void remove_sockets(void)
{
	int kind;

	for (kind = CHILD_RUN; kind <= CHILD_API; kind++) {
		if (master.bound_path[kind])
			unlink(master.bound_path[kind]);
		free(master.bound_path[kind]);
		master.bound_path[kind] = NULL;
	}
}

/* ---- children ---- */

static void set_mask(int how, sigset_t *ret_signals)
{
	static const int ours[] = { SIGCHLD, SIGHUP,  SIGINT,	    SIGQUIT,
				    SIGTERM, SIGUSR1, WORKER_LEAVE, WORKER_CANCEL };
	size_t i;

	sigemptyset(ret_signals);
	for (i = 0; i < ARRAY_LEN(ours); i++)
		sigaddset(ret_signals, ours[i]);
	sigprocmask(how, ret_signals, NULL);
}

static void be_child(const struct child *child, pid_t parent)
{
	struct pool *pool = &master.pool;
	sigset_t signals;

	pool->row = child->row;
	/* without a master nobody restarts us or hears us */
	prctl(PR_SET_PDEATHSIG, child->kind == CHILD_PROBER ? SIGKILL : WORKER_LEAVE);
	if (getppid() != parent)
		_exit(0);
	if (child->kind == CHILD_PROBER) {
		set_mask(SIG_UNBLOCK, &signals);
		close_fd(&master.listen_fd[CHILD_RUN]);
		close_fd(&master.listen_fd[CHILD_API]);
		worker_probe(pool);
	}
	worker_run(pool, child->kind == CHILD_RUN ? WORKER_RUN : WORKER_API,
		   master.listen_fd[child->kind]);
}

static struct child *free_place(void)
{
	size_t i;

	for (i = 0; i < CHILDREN_MAX; i++)
		if (master.child[i].pid == 0)
			return &master.child[i];
	return NULL;
}

static bool start_child(enum child_kind kind)
{
	struct child *child = free_place();
	pid_t parent = getpid();

	if (!child)
		return false;
	*child = (struct child){ .kind = kind,
				 .generation = master.generation,
				 .row = SIZE_MAX,
				 .started_ms = clock_ms() };
	if (kind != CHILD_PROBER) {
		child->row = metrics_row_take(master.pool.metrics,
					      kind == CHILD_RUN ? WORKER_RUN : WORKER_API);
		if (child->row == SIZE_MAX)
			return false;
	}
	fflush(NULL);
	child->pid = fork();
	if (child->pid == 0)
		be_child(child, parent);
	if (child->pid < 0) {
		log_event(LOG_ERROR, "fork: %s", strerror(errno));
		child->pid = 0;
		if (child->row != SIZE_MAX)
			metrics_row_clear(master.pool.metrics, child->row);
		return false;
	}
	if (kind != CHILD_PROBER)
		metrics_add(master.pool.metrics, COUNT_WORKER_STARTS, 1);
	return true;
}

static size_t wanted(enum child_kind kind)
{
	const struct settings *settings = &master.pool.settings;

	return kind == CHILD_RUN   ? settings->slots + settings->queue
	       : kind == CHILD_API ? settings->api_workers
				   : 1;
}

/* As many of each kind as the settings say, all of this generation. */
static void fill_up(void)
{
	size_t have[CHILD_KINDS] = { 0 }, i;
	int kind;

	if (master.stopping || clock_ms() < master.pause_until_ms)
		return;
	for (i = 0; i < CHILDREN_MAX; i++)
		if (master.child[i].pid && master.child[i].generation == master.generation)
			have[master.child[i].kind]++;
	for (kind = 0; kind < CHILD_KINDS; kind++)
		for (; have[kind] < wanted((enum child_kind)kind); have[kind]++)
			if (!start_child((enum child_kind)kind)) {
				master.pause_until_ms = clock_ms() + PAUSE_MS;
				return;
			}
}

static void note_death(const struct child *child, int status)
{
	static const char *const names[] = { "run worker", "api worker", "prober" };
	bool short_life = clock_ms() - child->started_ms < SHORT_LIFE_MS;

	if (WIFSIGNALED(status))
		log_event(LOG_ERROR, "%s %d died of signal %d", names[child->kind],
			  (int)child->pid, WTERMSIG(status));
	else
		log_event(LOG_ERROR, "%s %d ended with %d", names[child->kind], (int)child->pid,
			  WEXITSTATUS(status));
	if (child->kind != CHILD_PROBER)
		metrics_add(master.pool.metrics, COUNT_WORKER_DEATHS, 1);
	master.short_lives = short_life ? master.short_lives + 1 : 0;
	if (master.short_lives > SHORT_LIVES)
		master.pause_until_ms = clock_ms() + PAUSE_MS;
}

static void reap(void)
{
	int status;
	pid_t pid;
	size_t i;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (i = 0; i < CHILDREN_MAX; i++)
			if (master.child[i].pid == pid)
				break;
		if (i == CHILDREN_MAX)
			continue;
		if (master.child[i].row != SIZE_MAX)
			metrics_row_clear(master.pool.metrics, master.child[i].row);
		if (status != 0 && !master.child[i].leave_by_ms)
			note_death(&master.child[i], status);
		master.child[i].pid = 0;
	}
}

static size_t alive(void)
{
	size_t count = 0, i;

	for (i = 0; i < CHILDREN_MAX; i++)
		count += master.child[i].pid != 0;
	return count;
}

static void signal_child(const struct child *child, int signo)
{
	/* the prober has nothing to end: it is in its own hands only */
	kill(child->pid, child->kind == CHILD_PROBER ? SIGKILL : signo);
}

/* Asks everybody of an older generation, or everybody at all, to leave. */
static void send_away(bool all)
{
	uint64_t by = clock_ms() + master.pool.settings.drain_ms;
	size_t i;

	for (i = 0; i < CHILDREN_MAX; i++) {
		struct child *child = &master.child[i];

		if (!child->pid || child->leave_by_ms ||
		    (!all && child->generation == master.generation))
			continue;
		child->leave_by_ms = by;
		signal_child(child, WORKER_LEAVE);
	}
}

/* Says it again to who has not left, and loses patience at last. */
static void hurry(void)
{
	uint64_t now = clock_ms();
	size_t i;

	if (now < master.signal_again_ms)
		return;
	master.signal_again_ms = now + 1000;
	for (i = 0; i < CHILDREN_MAX; i++) {
		struct child *child = &master.child[i];

		if (!child->pid || !child->leave_by_ms)
			continue;
		if (now < child->leave_by_ms) {
			signal_child(child, WORKER_LEAVE);
		} else if (!child->cancelled) {
			log_event(LOG_NOTICE, "worker %d takes too long; its run is ended",
				  (int)child->pid);
			child->cancelled = true;
			child->leave_by_ms = now + CANCEL_MS;
			signal_child(child, WORKER_CANCEL);
		} else {
			kill(child->pid, SIGKILL);
		}
	}
}

/* ---- the keys ---- */

static const struct key *key_named(const struct keys *keys, const char *name)
{
	size_t i;

	for (i = 0; i < keys->count; i++)
		if (!strcmp(keys->key[i].name, name))
			return &keys->key[i];
	return NULL;
}

/* The audit of the keys: whatever changed the file, here is what came of it. */
static void log_changes(const struct keys *before, const struct keys *now)
{
	size_t i;

	for (i = 0; i < before->count; i++) {
		const struct key *key = key_named(now, before->key[i].name);

		if (!key)
			log_event(LOG_NOTICE, "keys: %s is gone", before->key[i].name);
		else if (memcmp(&before->key[i], key, sizeof *key) != 0)
			log_event(LOG_NOTICE, "keys: %s changed", key->name);
	}
	for (i = 0; i < now->count; i++)
		if (!key_named(before, now->key[i].name))
			log_event(LOG_NOTICE, "keys: %s is new", now->key[i].name);
}

/* Reads the file for everybody: what it says is in force for all workers, and what it
 * said before as long as it says nothing. */
static void watch_keys(void)
{
	struct pool *pool = &master.pool;
	struct keys *keys = &pool->keys;
	struct keys now = { .stat = keys->stat, .loaded = keys->loaded, .missing = keys->missing };
	struct error err = ERROR_INIT;
	int rc;

	if (!pool->keys_shared.map)
		return;
	rc = keys_refresh(pool->settings.keys_file, &now, &err);
	if (rc < 0)
		log_event(LOG_ERROR, "keys: %s; %s", err.text,
			  keys->loaded ? "those that were known stay" : "none is good");
	if (rc <= 0) {
		keys->stat = now.stat;
		keys->missing = now.missing;
	} else {
		if (keys->loaded)
			log_changes(keys, &now);
		keys_free(keys);
		*keys = now;
	}
	if (rc != 0)
		keys_shared_put(&pool->keys_shared, keys);
}

/* What is known of the same file stays known; it is read again. */
static int keep_keys(struct pool *fresh, struct pool *old, struct error *err)
{
	const char *path = fresh->settings.keys_file;

	if (!*path)
		return 0;
	if (!old->keys_shared.map || strcmp(path, old->settings.keys_file) != 0)
		return keys_shared_make(&fresh->keys_shared, err);
	fresh->keys = old->keys;
	fresh->keys_shared = old->keys_shared;
	memset(&fresh->keys.stat, 0, sizeof fresh->keys.stat);
	fresh->keys.missing = false;
	memset(&old->keys, 0, sizeof old->keys);
	memset(&old->keys_shared, 0, sizeof old->keys_shared);
	return 0;
}

/* ---- signals ---- */

static void reload(void)
{
	struct pool fresh = { .metrics = master.pool.metrics, .versions = master.pool.versions };
	struct error err = ERROR_INIT;

	if (master.stopping)
		return;
	if (pool_load(&fresh, master.conf_path, false, &err) < 0) {
		log_event(LOG_ERROR, "reload: %s; going on as before", err.text);
		return;
	}
	if (keep_keys(&fresh, &master.pool, &err) < 0) {
		log_event(LOG_ERROR, "reload: %s; going on as before", err.text);
		pool_unload(&fresh);
		return;
	}
	if (strcmp(fresh.settings.run_directory, master.pool.settings.run_directory) != 0)
		log_event(LOG_WARNING, "run-directory changed: the sockets stay until a restart");
	notify_send("RELOADING=1");
	pool_unload(&master.pool);
	master.pool = fresh;
	versions_name(fresh.versions, fresh.table);
	master.generation++;
	master.pause_until_ms = 0;
	watch_keys();
	fill_up();
	send_away(false);
	notify_send("READY=1");
	log_event(LOG_NOTICE, "reloaded: %zu languages", fresh.table->count);
}

static void stop(void)
{
	master.stopping = true;
	notify_send("STOPPING=1");
	/* from now on nobody can connect; who did is served */
	remove_sockets();
	close_fd(&master.listen_fd[CHILD_RUN]);
	close_fd(&master.listen_fd[CHILD_API]);
	send_away(true);
}

static void kill_all(void)
{
	size_t i;

	for (i = 0; i < CHILDREN_MAX; i++)
		if (master.child[i].pid)
			kill(master.child[i].pid, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
}

static void handle(int signo)
{
	switch (signo) {
	case SIGHUP:
		reload();
		break;
	case SIGTERM:
	case SIGINT:
		if (master.stopping) {
			log_event(LOG_NOTICE, "stopping at once");
			kill_all();
			exit(1);
		}
		stop();
		break;
	case SIGQUIT:
		if (!master.stopping)
			stop();
		break;
	}
}

/* ---- now and then ---- */

static void watchdog(uint64_t every_ms)
{
	if (!every_ms || clock_ms() < master.watchdog_at_ms)
		return;
	master.watchdog_at_ms = clock_ms() + every_ms;
	notify_send("WATCHDOG=1");
}

static int serve_all(void)
{
	struct timespec tick = { 0, TICK_MS * 1000000L };
	uint64_t watchdog_ms = notify_watchdog_ms();
	sigset_t signals;

	set_mask(SIG_BLOCK, &signals);
	watch_keys();
	fill_up();
	notify_send("READY=1");
	log_event(LOG_NOTICE, "ready: %zu run workers for %llu slots, %zu api workers, %zu languages",
		  wanted(CHILD_RUN), (unsigned long long)master.pool.settings.slots,
		  wanted(CHILD_API), master.pool.table->count);
	for (;;) {
		int signo = sigtimedwait(&signals, NULL, &tick);

		reap();
		if (signo > 0)
			handle(signo);
		if (master.stopping && alive() == 0)
			return 0;
		fill_up();
		hurry();
		watch_keys();
		watchdog(watchdog_ms);
	}
}

/* ---- the command line ---- */

static const char usage_text[] =
	"Usage: sandpool-fcgi [options]\n"
	"\n"
	"  -c FILE             the configuration (" SANDPOOL_CONF_PATH ")\n"
	"  -t                  test the configuration and the languages, then leave\n"
	"  -T                  the same, and print the settings in force\n"
	"  -f                  stay in the foreground (it always does)\n"
	"  --run-socket PATH   where nginx passes /run to (run.sock in run-directory)\n"
	"  --api-socket PATH   and everything else (api.sock there)\n"
	"  -v, --version       the version; -V also how it was built\n"
	"  -h, --help          this text\n"
	"\n"
	"Signals: HUP reloads; QUIT and TERM end what is under way and leave; a second\n"
	"TERM leaves at once.\n";

enum mode { MODE_SERVE, MODE_TEST, MODE_DUMP };

static void print_version(bool more)
{
	puts("sandpool-fcgi " PACKAGE_VERSION);
	if (more)
		puts("compiler: " __VERSION__ "\n"
		     "configuration: " SANDPOOL_CONF_PATH "\n"
		     "languages: " SANDPOOL_LANGUAGE_DIR "\n"
		     "programs: " SANDPOOL_LIBEXEC_DIR);
}

static enum mode read_options(int argc, char **argv)
{
	enum { RUN_SOCKET = 256, API_SOCKET };
	static const struct option options[] = {
		{ "run-socket", required_argument, NULL, RUN_SOCKET },
		{ "api-socket", required_argument, NULL, API_SOCKET },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	enum mode mode = MODE_SERVE;
	int option;

	while ((option = getopt_long(argc, argv, "c:tTfvVh", options, NULL)) != -1)
		switch (option) {
		case 'c': master.conf_path = optarg; break;
		case 't': mode = MODE_TEST; break;
		case 'T': mode = MODE_DUMP; break;
		case 'f': break;
		case RUN_SOCKET: master.socket_path[CHILD_RUN] = optarg; break;
		case API_SOCKET: master.socket_path[CHILD_API] = optarg; break;
		case 'v': print_version(false); exit(0);
		case 'V': print_version(true); exit(0);
		case 'h': fputs(usage_text, stdout); exit(0);
		default: fputs(usage_text, stderr); exit(2);
		}
	if (optind < argc) {
		fputs(usage_text, stderr);
		exit(2);
	}
	return mode;
}

/* What only shows when it is used. */
static int test_more(struct error *err)
{
	const struct language_table *table = master.pool.table;
	struct keys keys = { 0 };
	size_t i, k;

	for (i = 0; i < table->count; i++)
		for (k = 0; k < table->language[i].deny.count; k++) {
			regex_t pattern;

			if (regcomp(&pattern, table->language[i].deny.word[k],
				    REG_EXTENDED | REG_ICASE | REG_NOSUB) != 0)
				return error_set(err, EINVAL, "%s: deny: not a regular expression: %s",
						 table->language[i].id,
						 table->language[i].deny.word[k]);
			regfree(&pattern);
		}
	if (*master.pool.settings.keys_file &&
	    keys_load(master.pool.settings.keys_file, &keys, err) < 0)
		return -1;
	keys_free(&keys);
	return 0;
}

/* Descriptors 0 to 2 are there, whoever started us: a socket in their place would get
 * what is meant for the log. */
static void open_standard(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

static bool called_as_cgi(void)
{
	return getenv("GATEWAY_INTERFACE") && getenv("REQUEST_METHOD") && !getenv("LISTEN_FDS") &&
	       !is_listening(STDIN_FILENO);
}

static int fail(const struct error *err)
{
	log_event(LOG_ERROR, "%s", err->text);
	return 1;
}

int main(int argc, char **argv)
{
	struct error err = ERROR_INIT;
	enum mode mode;
	bool cgi = called_as_cgi();

	open_standard();
	log_open("sandpool-fcgi", LOG_NOTICE);
	/* a web server may turn the query into arguments of a CGI program */
	mode = cgi ? MODE_SERVE : read_options(argc, argv);
	if (cgi)
		master.conf_path = getenv("SANDPOOL_CONF");
	if (leave_root(master.conf_path, &err) < 0)
		return fail(&err);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	umask(027);
	if (pool_load(&master.pool, master.conf_path, false, &err) < 0)
		return fail(&err);
	if (cgi)
		return worker_cgi(&master.pool);
	if (mode != MODE_SERVE) {
		if (test_more(&err) < 0)
			return fail(&err);
		if (mode == MODE_DUMP)
			conf_dump(stdout, settings_keys, &master.pool.settings);
		fprintf(stderr, "sandpool-fcgi: the configuration is good, %zu languages\n",
			master.pool.table->count);
		return 0;
	}
	master.pool.metrics = metrics_new(&err);
	master.pool.versions = versions_new(&err);
	if (!master.pool.metrics || !master.pool.versions ||
	    keep_keys(&master.pool, &(struct pool){ 0 }, &err) < 0 || open_sockets(&err) < 0)
		return fail(&err);
	versions_name(master.pool.versions, master.pool.table);
	return serve_all();
}
