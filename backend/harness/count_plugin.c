/* A plugin of QEMU's translator that counts the instructions which the guest executes, and prints "executed N" at the
 * end. qemu-user has no -icount; the plugin counts there. Built on the host, as a shared library.
 *
 * Distributions ship no header for the plugin interface, so its few functions are declared here, as QEMU's manual
 * describes them ("QEMU TCG Plugins", interface version 1). Each translated block adds its length to one counter when
 * it is entered; a block that a fault leaves early is counted whole.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define API __attribute__((visibility("default")))

struct qemu_plugin_tb;
typedef void tb_callback(uint64_t id, struct qemu_plugin_tb *tb);
typedef void end_callback(uint64_t id, void *data);

extern void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, tb_callback *on_translation);
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, int add_u64, void *counter,
                                                     uint64_t by);
extern void qemu_plugin_register_atexit_cb(uint64_t id, end_callback *on_end, void *data);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);

API int qemu_plugin_version = 1;
API int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);

static uint64_t executed;

static void translated(uint64_t id, struct qemu_plugin_tb *tb) {
  (void)id;
  qemu_plugin_register_vcpu_tb_exec_inline(tb, 0, &executed, qemu_plugin_tb_n_insns(tb));
}

static void ended(uint64_t id, void *data) {
  (void)id;
  (void)data;
  fprintf(stderr, "executed %" PRIu64 "\n", executed);
}

API int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv) {
  (void)info;
  (void)argc;
  (void)argv;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, ended, NULL);
  return 0;
}
