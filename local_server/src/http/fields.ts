/** Checks of request fields, all at once, with the real server's outcome. */
import { OperationOutcomeError } from '@medplum/core';
import type { OperationOutcomeIssue } from '@medplum/fhirtypes';
import { randomUUID } from 'node:crypto';

export interface FieldRule {
  /** None where the rule is about several fields. */
  readonly field?: string;
  readonly is: (value: unknown) => boolean;
  readonly message: string;
}

/** @throws OperationOutcomeError 400 with an issue for each rule that is broken */
export function checkFields(body: Record<string, unknown>, rules: readonly FieldRule[]): void {
  const issue = rules
    .filter((rule) => !rule.is(rule.field && body[rule.field]))
    .map((rule): OperationOutcomeIssue => ({
      severity: 'error',
      code: 'invalid',
      expression: rule.field ? [rule.field] : undefined,
      details: { text: rule.message },
    }));
  if (issue.length) {
    throw new OperationOutcomeError({ resourceType: 'OperationOutcome', id: randomUUID(), issue });
  }
}

export function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null;
}

export function isNotEmpty(value: unknown): boolean {
  return isPresent(value) && value !== '' && !(Array.isArray(value) && value.length === 0);
}

export function isEmail(value: unknown): boolean {
  return typeof value === 'string' && /^[^\s@]+@[^\s@]+\.[A-Za-z]{2,}$/.test(value);
}

export function hasLength(min: number, max = Number.POSITIVE_INFINITY): (value: unknown) => boolean {
  return (value) => {
    const length = typeof value === 'string' ? value.length : 0;
    return length >= min && length <= max;
  };
}
