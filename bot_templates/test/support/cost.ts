/**
 * Milliseconds of processor time that work takes: a busy machine makes it slower, but no dearer.
 *
 * A pattern that runs away takes minutes where a sound one takes a fraction of a second.
 */
export function costOf(work: () => unknown): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}
