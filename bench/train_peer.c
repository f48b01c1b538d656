/* A child process with two pipes. */
#include "bench/train_peer.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool spawn(Peer *p, char *const argv[]) {
  int down[2], up[2];
  if (pipe(down) != 0 || pipe(up) != 0) return false;
  p->pid = fork();
  if (p->pid < 0) return false;
  if (p->pid == 0) {
    dup2(down[0], 0);
    dup2(up[1], 1);
    close(down[1]);
    close(up[0]);
    execv(argv[0], argv);
    _exit(127);
  }
  close(down[0]);
  close(up[1]);
  p->to = fdopen(down[1], "w");
  p->from = fdopen(up[0], "r");
  return p->to && p->from;
}

static bool read_line(Peer *p, char *out, int n) {
  if (!fgets(out, n, p->from)) return false;
  out[strcspn(out, "\n")] = '\0';
  return true;
}

bool peer_start(Peer *p) {
  char python[] = "/usr/bin/python3", script[] = "bench/train_torch.py";
  *p = (Peer){0};
  signal(SIGPIPE, SIG_IGN);
  if (spawn(p, (char *const[]){python, script, NULL}) && read_line(p, p->version, sizeof p->version))
    return true;
  peer_stop(p);
  fprintf(stderr, "No PyTorch beside: Debian's is installed by\n  apt-get install -y python3-torch\n");
  return false;
}

void peer_stop(Peer *p) {
  if (p->to) fclose(p->to);
  if (p->from) fclose(p->from);
  if (p->pid > 0) waitpid(p->pid, NULL, 0);
  *p = (Peer){0};
}

bool peer_ask(Peer *p, const char *line, char *answer, int n) {
  return p->to && fprintf(p->to, "%s\n", line) > 0 && fflush(p->to) == 0 && read_line(p, answer, n);
}
