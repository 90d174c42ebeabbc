// The picture: tiles of a pyramid whose last level is the raster's own resolution.
import TileLayer from "ol/layer/Tile";
import TileImage from "ol/source/TileImage";
import TileGrid from "ol/tilegrid/TileGrid";
import { url } from "../net/request";
import { state } from "../state";
import type { Picture } from "../types";
import { boxToExtent } from "./geometry";
import { map, projection } from "./view";

/** Smooth when pixels are smaller than the screen's, true squares when they are larger. */
class RasterTiles extends TileImage {
  override getInterpolate(): boolean {
    return (map.getView().getResolution() ?? 1) >= 1;
  }

  /** Both ways show the same tiles: crossing 1:1 must not load them anew. */
  override getKey(): string {
    return super.getKey().replace(":disable-interpolation", "");
  }
}

export const tileLayer = new TileLayer<TileImage>({ preload: 1, className: "picture" });

export function showTiles(image: Picture): void {
  const { levels, tile_size: tileSize, recipe_hash: v } = image;
  tileLayer.setSource(
    new RasterTiles({
      projection,
      tileGrid: new TileGrid({
        extent: boxToExtent([0, 0, image.width, image.height]),
        origin: [0, 0],
        resolutions: Array.from({ length: levels }, (_, level) => 2 ** (levels - 1 - level)),
        tileSize,
      }),
      tileUrlFunction: ([level, column, row]) =>
        url(`images/${image.id}/tiles/${level}/${column}/${row}.png`, { v }),
      transition: 120,
      wrapX: false,
    }),
  );
}

/** Tiles that failed while the server was away are asked for again. */
export function watchTiles(): void {
  let wasReachable = true;
  state.on(["reachable"], () => {
    if (state.now.reachable && !wasReachable) tileLayer.getSource()?.refresh();
    wasReachable = state.now.reachable;
  });
}
