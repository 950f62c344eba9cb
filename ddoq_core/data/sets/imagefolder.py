"""Your own folder of images, or ImageNet: sizes are counted in the folder, or known from its list of classes."""

from ..image_folder import image_folder

SIZES = None
load = image_folder
