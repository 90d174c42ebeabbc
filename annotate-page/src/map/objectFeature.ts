// The outline of a finished object, as the map paints it.
import { orientLinearRingsArray } from "ol/geom/flat/orient";
import { quantizeArray } from "ol/geom/flat/simplify";
import RenderFeature from "ol/render/Feature";
import type { Annotation } from "../types";
import { flatOnMap } from "./geometry";

/**
 * Can be painted and found, and does not change. OpenLayers' other features also tell listeners of
 * their changes, which for tens of thousands of outlines takes as long as painting them.
 */
export class ObjectFeature extends RenderFeature {
  private coarse: RenderFeature | null = null;
  private tolerance = 0;

  constructor(readonly object: Annotation) {
    const { flat, ends } = flatOnMap(object.geometry);
    orientLinearRingsArray(flat, 0, ends, 2); // by which holes are told from borders
    super("Polygon", flat, ends.length === 1 ? (ends[0] ?? []) : ends.flat(), 2, {}, undefined);
  }

  /** With no more corners than can be seen. On a grid, so that neighbours keep touching. */
  override simplifyTransformed(squaredTolerance: number): RenderFeature {
    if (!this.coarse || this.tolerance !== squaredTolerance) {
      const [flat, ends]: [number[], number[]] = [[], []];
      const [own, rings] = [this.getFlatCoordinates(), this.getEnds() ?? []];
      flat.length = quantizeArray(own, 0, rings, 2, Math.sqrt(squaredTolerance), flat, 0, ends);
      this.coarse = new RenderFeature("Polygon", flat, ends, 2, {}, undefined);
      this.tolerance = squaredTolerance;
    }
    return this.coarse;
  }
}
