import type { Task } from '@medplum/fhirtypes';
import { hasType } from '../commands/task.ts';
import { parseReference } from '../ids.ts';

/** What a caller is told of a Task. */
export interface TaskAnswer extends Record<string, unknown> {
  taskId: string | undefined;
  status: Task['status'];
  businessStatus?: string;
  /** `Type/id` */
  executedResource?: string;
  executedResourceId?: string;
  executedResourceType?: string;
  provenanceId?: string;
  warnings: string[];
}

export function answer(namespace: string, task: Task, warnings: readonly string[]): TaskAnswer {
  const reference = (code: string): string | undefined =>
    task.output?.find(({ type }) => hasType(type, `${namespace}/task-output`, code))?.valueReference?.reference;
  const businessStatus = task.businessStatus?.coding?.find(({ system }) => system === `${namespace}/task-status`)?.code;
  const executed = reference('result');
  const parsed = parseReference(executed);
  const provenanceId = parseReference(reference('provenance'))?.id;
  return {
    taskId: task.id,
    status: task.status,
    ...(businessStatus === undefined ? {} : { businessStatus }),
    ...(executed && parsed
      ? { executedResource: executed, executedResourceId: parsed.id, executedResourceType: parsed.resourceType }
      : {}),
    ...(provenanceId === undefined ? {} : { provenanceId }),
    warnings: [...warnings],
  };
}
