import type { Task } from '@medplum/fhirtypes';
import { canonicalJson } from '../commands/canonical.ts';
import type { Version } from '../commands/history.ts';
import { taskOutputs } from '../commands/task.ts';

/** What nobody may change: whom and what it concerns, and what is to be done, by whom, until when. */
const FIXED = [
  'identifier',
  'intent',
  'code',
  'for',
  'encounter',
  'focus',
  'authoredOn',
  'requester',
  'performerType',
  'restriction',
  'input',
] as const;

/** The fixed elements of a Task. */
export function fixedElements(task: Task): Partial<Task> {
  return Object.fromEntries(FIXED.filter((name) => task[name] !== undefined).map((name) => [name, task[name]]));
}

/** The same in one spelling. Displays and element ids say nothing: applications add them on their own. */
function fixedPart(task: Task): string {
  return canonicalJson(
    JSON.parse(JSON.stringify(fixedElements(task)), (key, value: unknown) =>
      key === 'display' || key === 'id' ? undefined : value
    )
  );
}

/**
 * Whether somebody changed what is to be done, or what the Task shows as made of it: whoever approves would see another
 * command than runs. What this bot showed once, or nothing, is what an application may have read before.
 * @param versions - Newest first, none of them a deletion.
 * @param original - The first version.
 * @param authors - `queue`: `Bot/id` of the Approval Queue Bot, which alone may write what differs.
 */
export function isTampered(
  versions: readonly Version<Task>[],
  original: Task,
  { namespace, queue }: { namespace: string; queue: string }
): boolean {
  const fixed = fixedPart(original);
  const own = versions.filter(({ author }) => author === queue);
  const shown = new Set([original, ...own.map(({ resource }) => resource)].map((task) => modifiedPart(task, namespace)));
  return (
    versions.some(({ author, resource }) => author !== queue && fixedPart(resource as Task) !== fixed) ||
    versions.some(({ author, resource }) => author !== queue && !shown.has(modifiedPart(resource, namespace)))
  );
}

/** What a Task shows as made of its command, in one spelling. */
function modifiedPart(task: Task | undefined, namespace: string): string {
  const codes = ['modified-command', 'modified-command-sha256'];
  return JSON.stringify(codes.map((code) => taskOutputs(task, namespace, code).map(({ valueString = '' }) => valueString)));
}
