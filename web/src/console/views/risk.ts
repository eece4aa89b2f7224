// Risks over time, and what each is made of, from payloads that may hold anything.

import { asPayload, instantOf, numberOf, type Payload, textOf } from "../../wardbell";

/** A risk at an instant. */
export interface RiskPoint {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly score: number;
  readonly level: string;
  readonly payload: Payload;
}

/** Something that a risk is made of. */
export interface Factor {
  readonly name: string;
  readonly impact: number;
}

/** Factors that are shown. */
const MAX_FACTORS = 15;

/** The risks that payloads tell of, oldest first. A prediction and the alert that follows from it are one. */
export function riskPoints(payloads: readonly Payload[]): RiskPoint[] {
  const points = new Map<string, RiskPoint>();
  for (const payload of payloads) {
    const [at, score] = [instantOf(payload, "timestamp"), numberOf(payload, "risk_score")];
    if (at === undefined || score === undefined || score < 0 || score > 1) continue;
    points.set(`${at} ${score}`, { at, score, level: textOf(payload, "risk_level") ?? "", payload });
  }
  return [...points.values()].sort((one, other) => one.at - other.at);
}

/** `top_features` of an explanation, largest first. */
export function factorsOf(explanation: Payload): Factor[] {
  const features = explanation["top_features"];
  if (!Array.isArray(features)) return [];
  return features
    .map(asPayload)
    .flatMap((feature) => {
      const [name, impact] = [textOf(feature, "feature"), numberOf(feature, "impact")];
      return name === undefined || impact === undefined ? [] : [{ name, impact }];
    })
    .sort((one, other) => Math.abs(other.impact) - Math.abs(one.impact))
    .slice(0, MAX_FACTORS);
}
